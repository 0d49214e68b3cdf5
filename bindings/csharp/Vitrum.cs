// Pictures, labels, search and clicks from C#, over Native.cs, which has everything else.
using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using System.Text;
using System.Threading;
using static Vitrum.Native;

namespace Vitrum
{
    /// <summary>A call that failed: one of VITRUM_E_*, and a sentence that names the thing at fault.</summary>
    public sealed class VitrumException : Exception
    {
        public int Code { get; }

        public VitrumException(int code, string message) : base(message) { Code = code; }
    }

    /// <summary>The order of the bytes of a pixel.</summary>
    public enum PixelFormat
    {
        Rgb8 = VITRUM_PIXEL_RGB8, Bgr8 = VITRUM_PIXEL_BGR8, Rgba8 = VITRUM_PIXEL_RGBA8, Bgra8 = VITRUM_PIXEL_BGRA8,
        Gray8 = VITRUM_PIXEL_GRAY8,
    }

    /// <summary>A picture of 8 bits a channel; transparency is dropped. A stride of 0 means that there are no gaps between rows.</summary>
    public sealed class Picture
    {
        internal readonly byte[] Pixels;
        internal readonly PixelFormat Format;
        internal readonly int Stride;
        public int Width { get; }
        public int Height { get; }

        public Picture(byte[] pixels, int width, int height, PixelFormat format, int stride = 0)
        {
            int channels = format == PixelFormat.Gray8 ? 1 : format == PixelFormat.Rgb8 || format == PixelFormat.Bgr8 ? 3 : 4;
            long row = (long)width * channels;
            if (stride == 0) stride = checked((int)row);
            if (width <= 0 || height <= 0 || stride < row || (height - 1L) * stride + row > pixels.LongLength)
                throw new ArgumentException($"{pixels.LongLength} bytes for {width} x {height} pixels with a stride of {stride}");
            Pixels = pixels;
            Width = width;
            Height = height;
            Format = format;
            Stride = stride;
        }

        /// <summary>The picture with its pixels at an address that holds for the call.</summary>
        internal unsafe vitrum_image At(byte* data)
        {
            vitrum_image image;
            Call.Check(vitrum_image_init(&image, (UIntPtr)sizeof(vitrum_image)));
            image.format = (int)Format;
            image.data = data;
            image.width = (uint)Width;
            image.height = (uint)Height;
            image.row_stride = (UIntPtr)Stride;
            return image;
        }
    }

    /// <summary>Threads that models work with.</summary>
    public sealed class Context : Handle
    {
        /// <summary>0 threads: one for each core.</summary>
        public unsafe Context(int threads = 0)
        {
            vitrum_context_options options;
            Call.Check(vitrum_context_options_init(&options, (UIntPtr)sizeof(vitrum_context_options)));
            options.threads = checked((uint)threads);
            vitrum_context* it = null;
            vitrum_error error = Call.NoError();
            Call.Check(vitrum_context_new(&options, &it, &error), error);
            handle = (IntPtr)it;
        }

        protected override unsafe void Free(IntPtr it) => vitrum_context_free((vitrum_context*)it);
    }

    /// <summary>A CLIP or SigLIP model. Several threads may use it.</summary>
    public sealed class Clip : Handle
    {
        /// <summary>A Hugging Face directory, a safetensors file or a PyTorch checkpoint.</summary>
        public unsafe Clip(Context context, string path)
        {
            vitrum_clip* it = null;
            vitrum_error error = Call.NoError();
            fixed (byte* name = Call.Text(path))
                Call.Check(vitrum_clip_load((vitrum_context*)context.Use(), name, null, &it, &error), error);
            GC.KeepAlive(context);
            handle = (IntPtr)it;
        }

        /// <summary>How well each label describes the picture, in their order.</summary>
        public unsafe float[] Classify(Picture picture, params string[] labels)
        {
            // One more, so that there is an address even without labels.
            var probabilities = new float[labels.Length + 1];
            vitrum_error error = Call.NoError();
            using (var texts = new Texts(labels))
            fixed (byte* pixels = picture.Pixels)
            fixed (float* to = probabilities)
            {
                vitrum_image image = picture.At(pixels);
                Call.Check(vitrum_clip_classify((vitrum_clip*)Use(), &image, texts.Pointers, (UIntPtr)labels.Length, null, to,
                    (UIntPtr)labels.Length, null, &error), error);
            }
            GC.KeepAlive(this);
            Array.Resize(ref probabilities, labels.Length);
            return probabilities;
        }

        protected override unsafe void Free(IntPtr it) => vitrum_clip_free((vitrum_clip*)it);
    }

    /// <summary>A vector that was found: which one, counted from 0, and its dot product with the query.</summary>
    public struct Hit
    {
        public int Index { get; }
        public float Score { get; }

        internal Hit(vitrum_hit it)
        {
            Index = checked((int)it.index);
            Score = it.score;
        }
    }

    /// <summary>Embeddings to search, one after the other, as floats or 8-bit integers. Arrays are used in place: they must not change
    /// during a search.</summary>
    public sealed class Vectors
    {
        readonly float[] values;
        /// <summary>The integers; null of floats.</summary>
        public sbyte[] Codes { get; }
        /// <summary>What each vector's integers are multiplied with; null of floats.</summary>
        public float[] Scales { get; }
        public int Count { get; }
        public int Dim { get; }

        public Vectors(float[] values, int dim)
        {
            Count = Rows(values.Length, dim);
            Dim = dim;
            this.values = values;
        }

        /// <summary>Vector i is scales[i] times its row of codes, as <see cref="Quantize"/> makes them.</summary>
        public Vectors(sbyte[] codes, float[] scales, int dim)
        {
            Count = Rows(codes.Length, dim);
            Dim = dim;
            if (scales.Length != Count) throw new ArgumentException($"{scales.Length} scales for {Count} vectors");
            Codes = codes;
            Scales = scales;
        }

        static int Rows(int length, int dim)
        {
            if (dim <= 0 || length % dim != 0) throw new ArgumentException($"{length} values are not whole rows of {dim}");
            return length / dim;
        }

        /// <summary>These vectors, each rounded to 8-bit integers with a scale: a quarter of the memory.</summary>
        public unsafe Vectors Quantize()
        {
            if (values == null) throw new InvalidOperationException("these vectors are 8-bit integers");
            var rounded = new Vectors(new sbyte[values.Length], new float[Count], Dim);
            if (Count == 0) return rounded;
            vitrum_error error = Call.NoError();
            fixed (float* from = values, scales = rounded.Scales)
            fixed (sbyte* codes = rounded.Codes)
                Call.Check(vitrum_quantize_vectors(from, (UIntPtr)Count, (UIntPtr)Dim, codes, scales, &error), error);
            return rounded;
        }

        /// <summary>For each query, one after the other, the k vectors with the largest dot product, or all if they are fewer: the best
        /// first, of equal ones the one with the smaller index. Every vector is compared.</summary>
        public unsafe Hit[][] TopK(Context context, float[] queries, int k, CancellationToken token = default(CancellationToken))
        {
            int count = Rows(queries.Length, Dim), each = Math.Min(k, Count);
            if (k < 0) throw new ArgumentException("k is " + k);
            // One more, so that there is an address even of nothing.
            var hits = new vitrum_hit[checked(count * each) + 1];
            float nothing = 0;
            vitrum_error error = Call.NoError();
            vitrum_vectors vectors;
            vitrum_topk_options options;
            Call.Check(vitrum_vectors_init(&vectors, (UIntPtr)sizeof(vitrum_vectors)));
            Call.Check(vitrum_topk_options_init(&options, (UIntPtr)sizeof(vitrum_topk_options)));
            // Named, so that it lives as long as the call.
            vitrum_progress progress = (user, fraction) => token.IsCancellationRequested ? 1 : 0;
            options.progress = Marshal.GetFunctionPointerForDelegate(progress);
            vectors.count = (UIntPtr)Count;
            vectors.dim = (UIntPtr)Dim;
            fixed (float* floats = values, scales = Scales, asked = queries)
            fixed (sbyte* codes = Codes)
            fixed (vitrum_hit* to = hits)
            {
                vectors.values = values != null && Count == 0 ? &nothing : floats;
                vectors.codes = Codes != null && Count == 0 ? (sbyte*)&nothing : codes;
                vectors.scales = Codes != null && Count == 0 ? &nothing : scales;
                int status = vitrum_topk((vitrum_context*)context.Use(), count == 0 ? &nothing : asked, (UIntPtr)count, &vectors,
                    (UIntPtr)k, &options, to, (UIntPtr)(count * each), null, &error);
                if (status == VITRUM_E_CANCELLED) throw new OperationCanceledException(token);
                Call.Check(status, error);
            }
            GC.KeepAlive(progress);
            GC.KeepAlive(context);
            var all = new Hit[count][];
            for (int i = 0; i < count; i++)
            {
                all[i] = new Hit[each];
                for (int j = 0; j < each; j++) all[i][j] = new Hit(hits[i * each + j]);
            }
            return all;
        }
    }

    /// <summary>A SAM or SAM 2 model. Several threads may use it.</summary>
    public sealed class Sam : Handle
    {
        /// <summary>A Hugging Face directory, a safetensors file or a PyTorch checkpoint.</summary>
        public unsafe Sam(Context context, string path)
        {
            vitrum_sam* it = null;
            vitrum_error error = Call.NoError();
            fixed (byte* name = Call.Text(path))
                Call.Check(vitrum_sam_load((vitrum_context*)context.Use(), name, null, &it, &error), error);
            GC.KeepAlive(context);
            handle = (IntPtr)it;
        }

        /// <summary>The slow part, once for a picture. When the token is cancelled, it ends within milliseconds.</summary>
        public unsafe Embedding Encode(Picture picture, CancellationToken token = default(CancellationToken))
        {
            vitrum_sam_embedding* it = null;
            vitrum_error error = Call.NoError();
            // Named, so that it lives as long as the call.
            vitrum_progress progress = (user, fraction) => token.IsCancellationRequested ? 1 : 0;
            fixed (byte* pixels = picture.Pixels)
            {
                vitrum_image image = picture.At(pixels);
                int status = vitrum_sam_encode((vitrum_sam*)Use(), &image, Marshal.GetFunctionPointerForDelegate(progress), null, &it,
                    &error);
                if (status == VITRUM_E_CANCELLED) throw new OperationCanceledException(token);
                Call.Check(status, error);
            }
            GC.KeepAlive(progress);
            GC.KeepAlive(this);
            return new Embedding((IntPtr)it, picture.Width, picture.Height);
        }

        /// <summary>The best mask of what is clicked: a byte for each pixel, not 0 where the object is.</summary>
        public unsafe byte[] Click(Embedding embedding, float x, float y)
        {
            vitrum_sam_prediction* answer = null;
            vitrum_error error = Call.NoError();
            Call.Check(vitrum_sam_prediction_new((vitrum_sam*)Use(), &answer, &error), error);
            try
            {
                var point = new vitrum_point { x = x, y = y, label = VITRUM_LABEL_FOREGROUND };
                vitrum_sam_prompt prompt;
                Call.Check(vitrum_sam_prompt_init(&prompt, (UIntPtr)sizeof(vitrum_sam_prompt)));
                prompt.points = &point;
                prompt.point_count = (UIntPtr)1;
                Call.Check(vitrum_sam_predict((vitrum_sam*)Use(), (vitrum_sam_embedding*)embedding.Use(), &prompt, (UIntPtr)1, null, answer,
                    &error), error);
                var scores = new float[(int)vitrum_sam_prediction_masks(answer)];
                var mask = new byte[embedding.Width * embedding.Height];
                int best = 0;
                fixed (float* to = scores)
                    Call.Check(vitrum_sam_prediction_scores(answer, to, (UIntPtr)scores.Length, null, &error), error);
                for (int i = 1; i < scores.Length; i++) if (scores[i] > scores[best]) best = i;
                fixed (byte* to = mask)
                    Call.Check(vitrum_sam_prediction_mask(answer, UIntPtr.Zero, (UIntPtr)best, 0, to, (UIntPtr)mask.Length, null, &error),
                        error);
                GC.KeepAlive(embedding);
                GC.KeepAlive(this);
                return mask;
            }
            finally
            {
                vitrum_sam_prediction_free(answer);
            }
        }

        protected override unsafe void Free(IntPtr it) => vitrum_sam_free((vitrum_sam*)it);
    }

    /// <summary>An encoded picture.</summary>
    public sealed class Embedding : Handle
    {
        public int Width { get; }
        public int Height { get; }

        internal Embedding(IntPtr it, int width, int height)
        {
            handle = it;
            Width = width;
            Height = height;
        }

        protected override unsafe void Free(IntPtr it) => vitrum_sam_embedding_free((vitrum_sam_embedding*)it);
    }

    /// <summary>An object of the library, freed by Dispose or the collector.</summary>
    public abstract class Handle : SafeHandle
    {
        protected Handle() : base(IntPtr.Zero, true) { }

        public override bool IsInvalid => handle == IntPtr.Zero;

        internal IntPtr Use()
        {
            if (IsClosed || IsInvalid) throw new ObjectDisposedException(GetType().Name);
            return handle;
        }

        protected abstract void Free(IntPtr it);

        protected override bool ReleaseHandle()
        {
            Free(handle);
            return true;
        }
    }

    static class Call
    {
        internal static unsafe vitrum_error NoError()
        {
            vitrum_error error;
            Check(vitrum_error_init(&error, (UIntPtr)sizeof(vitrum_error)));
            return error;
        }

        internal static unsafe void Check(int status)
        {
            if (status != VITRUM_OK) throw new VitrumException(status, Text(vitrum_status_string(status)));
        }

        internal static unsafe void Check(int status, vitrum_error error)
        {
            if (status != VITRUM_OK) throw new VitrumException(status, Text(error.message));
        }

        static unsafe string Text(byte* text)
        {
            int length = 0;
            while (text[length] != 0) length++;
            return Encoding.UTF8.GetString(text, length);
        }

        /// <summary>UTF-8 with a NUL at its end, and none before.</summary>
        internal static byte[] Text(string text)
        {
            if (text.IndexOf('\0') >= 0) throw new ArgumentException("a text with a NUL");
            return Encoding.UTF8.GetBytes(text + "\0");
        }
    }

    /// <summary>Texts in memory that the collector does not move.</summary>
    sealed unsafe class Texts : IDisposable
    {
        readonly List<GCHandle> pins = new List<GCHandle>();
        internal byte** Pointers { get; }

        internal Texts(string[] texts)
        {
            // Before anything is pinned: it may throw.
            var contents = Array.ConvertAll(texts, Call.Text);
            // One more, so that there is an address even without texts.
            var pointers = new IntPtr[texts.Length + 1];
            for (int i = 0; i < texts.Length; i++) pointers[i] = Pin(contents[i]);
            Pointers = (byte**)Pin(pointers);
        }

        IntPtr Pin(object array)
        {
            pins.Add(GCHandle.Alloc(array, GCHandleType.Pinned));
            return pins[pins.Count - 1].AddrOfPinnedObject();
        }

        public void Dispose()
        {
            foreach (var pin in pins) pin.Free();
            pins.Clear();
        }
    }
}
