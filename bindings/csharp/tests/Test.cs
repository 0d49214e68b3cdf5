// Test.exe VITRUM.ABI DEMO PICTURE.ppm: layouts against the list, and the library's answers.
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Runtime.InteropServices;
using System.Text;
using System.Threading;
using Vitrum;

static class Test
{
    static int checks;

    static void Expect(bool isRight, string what)
    {
        checks++;
        if (!isRight) throw new Exception(what);
    }

    static void Layouts(string list)
    {
        int fields = 0;
        foreach (var line in File.ReadAllLines(list).Where(it => it.StartsWith("struct ") && !it.Contains("never changes")))
        {
            var parts = line.Split(new[] { ", ", " = " }, StringSplitOptions.None);
            var type = typeof(Native).GetNestedType(parts[0].Substring(7));
            if (parts[1] == "size")
            {
                Expect(Marshal.SizeOf(type) == int.Parse(parts[2]), line + ": " + Marshal.SizeOf(type));
                continue;
            }
            int at = (int)Marshal.OffsetOf(type, parts[1].Substring(6));
            Expect(at == int.Parse(line.Substring(line.LastIndexOf(" at ") + 4)), line + ": " + at);
            fields++;
        }
        Expect(fields > 100, fields + " fields");
    }

    static Picture Read(string path)
    {
        var bytes = File.ReadAllBytes(path);
        int at = 0;
        var words = new List<string>();
        while (words.Count < 4)
        {
            int end = at;
            while (!" \n".Contains((char)bytes[end])) end++;
            words.Add(Encoding.ASCII.GetString(bytes, at, end - at));
            at = end + 1;
        }
        return new Picture(bytes.Skip(at).ToArray(), int.Parse(words[1]), int.Parse(words[2]), PixelFormat.Rgb8);
    }

    static void Fails<Error>(string text, Action call) where Error : Exception
    {
        try
        {
            call();
        }
        catch (Error error)
        {
            Expect(error.Message.Contains(text), error.Message);
            return;
        }
        throw new Exception("no error with " + text);
    }

    static double Product(float[] query, float[] values, int row)
    {
        return query.Select((it, i) => (double)it * values[row * query.Length + i]).Sum();
    }

    /// <summary>All rows, the best first, of equal ones the earlier first.</summary>
    static int[] Sorted(float[] query, float[] values)
    {
        return Enumerable.Range(0, values.Length / query.Length).OrderByDescending(row => Product(query, values, row)).ToArray();
    }

    static void Search(Context context)
    {
        const int dim = 37, count = 500;
        var random = new Random(7);
        // Whole numbers: their products are exact in floats, and many are equal.
        Func<int, float[]> whole = rows => Enumerable.Range(0, rows * dim).Select(_ => (float)random.Next(-3, 4)).ToArray();
        float[] values = whole(count), queries = whole(20);
        var vectors = new Vectors(values, dim);
        foreach (int k in new[] { 9, 600 })
        {
            var found = vectors.TopK(context, queries, k);
            Expect(found.Length == 20, "a list for each query");
            for (int i = 0; i < found.Length; i++)
            {
                var query = queries.Skip(i * dim).Take(dim).ToArray();
                var best = Sorted(query, values).Take(k).ToArray();
                Expect(found[i].Select(it => it.Index).SequenceEqual(best), "the indices of query " + i);
                Expect(found[i].All(it => it.Score == (float)Product(query, values, it.Index)), "the scores of query " + i);
                Expect(k == 9 || Enumerable.Range(1, 499).Any(j => found[i][j].Score == found[i][j - 1].Score), "equal scores");
            }
        }

        var half = Enumerable.Range(0, count / 2 * dim).Select(_ => (float)(2 * random.NextDouble() - 1)).ToArray();
        var twice = half.Concat(half).ToArray();
        var one = Enumerable.Range(0, dim).Select(_ => (float)(2 * random.NextDouble() - 1)).ToArray();
        var made = new Vectors(twice, dim).Quantize();
        var rounded = made.Codes.Select((it, i) => made.Scales[i / dim] * it).ToArray();
        Expect(rounded.Select((it, i) => Math.Abs(it - twice[i]) <= 0.501 * made.Scales[i / dim]).All(it => it), "rounding");
        var expected = Sorted(one, rounded);
        foreach (var integers in new[] { made, new Vectors(made.Codes, made.Scales, dim) })
        {
            var found = integers.TopK(context, one, 600)[0];
            Expect(found.Length == count, "all vectors");
            for (int i = 0; i < count; i++)
            {
                // The query has 16 bits.
                Expect(Math.Abs(found[i].Score - Product(one, rounded, expected[i])) <= 1e-3, "the score of hit " + i);
                Expect(Math.Abs(found[i].Score - Product(one, rounded, found[i].Index)) <= 1e-3, "the vector of hit " + i);
                // Every vector is there twice.
                Expect(i % 2 == 0 || found[i].Score == found[i - 1].Score && found[i].Index == found[i - 1].Index + count / 2, "pairs");
            }
        }

        var none = new Vectors(new float[0], dim);
        Expect(none.TopK(context, one, 3)[0].Length == 0 && none.Quantize().TopK(context, one, 3)[0].Length == 0, "none");
        Fails<VitrumException>("k is 0", () => vectors.TopK(context, one, 0));
        Fails<VitrumException>("quer", () => vectors.TopK(context, new float[0], 1));
        Fails<ArgumentException>("k is -1", () => vectors.TopK(context, one, -1));
        Fails<ArgumentException>("whole rows", () => vectors.TopK(context, new float[3], 1));
        Fails<ArgumentException>("1 scales", () => new Vectors(new sbyte[2 * dim], new float[1], dim));
        Fails<InvalidOperationException>("integers", () => made.Quantize());
        Fails<OperationCanceledException>("", () => vectors.TopK(context, one, 1, new CancellationToken(true)));
        twice[dim] = float.NaN;
        Fails<VitrumException>("vector 1", () => new Vectors(twice, dim).Quantize());
        Fails<VitrumException>("vector 1", () => new Vectors(twice, dim).TopK(context, one, 1));
    }

    static unsafe void Main(string[] args)
    {
        Layouts(args[0]);
        Expect(Native.vitrum_abi_version() == Native.VITRUM_ABI_VERSION, "another version of the binary interface");
        var picture = Read(args[2]);
        using (var context = new Context())
        using (var clip = new Clip(context, Path.Combine(args[1], "clip-nano")))
        using (var sam = new Sam(context, Path.Combine(args[1], "sam-nano")))
        {
            var probabilities = clip.Classify(picture, "octopus", "strawberry", "bicycle");
            Expect(Math.Abs(probabilities.Sum() - 1) < 1e-5, "the sum of probabilities");
            Expect(probabilities[1] > 0.9, "a strawberry: " + probabilities[1]);
            using (var embedding = sam.Encode(picture))
            {
                var mask = sam.Click(embedding, picture.Width / 2, picture.Height / 2);
                int area = mask.Count(it => it != 0);
                Expect(mask[picture.Width * (picture.Height / 2) + picture.Width / 2] != 0 && mask[0] == 0, "the strawberry's mask");
                Expect(area > mask.Length / 20 && area < mask.Length * 9 / 10, "the mask's area: " + area);
            }
            var cancelled = new CancellationToken(true);
            Fails<OperationCanceledException>("", () => sam.Encode(picture, cancelled));
            Fails<VitrumException>("none given", () => clip.Classify(picture));
            Fails<VitrumException>("no/such/model", () => new Clip(context, "no/such/model"));
            Fails<ArgumentException>("NUL", () => clip.Classify(picture, "a\0b"));
            Fails<ArgumentException>("3 bytes for 2 x 2", () => new Picture(new byte[3], 2, 2, PixelFormat.Gray8));
            Search(context);
            clip.Dispose();
            Fails<ObjectDisposedException>("Clip", () => clip.Classify(picture, "a"));
        }
        Console.WriteLine($"C#: {checks} checks");
    }
}
