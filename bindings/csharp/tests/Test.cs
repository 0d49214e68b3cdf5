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
            clip.Dispose();
            Fails<ObjectDisposedException>("Clip", () => clip.Classify(picture, "a"));
        }
        Console.WriteLine($"C#: {checks} checks");
    }
}
