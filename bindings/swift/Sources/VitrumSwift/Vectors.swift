import Vitrum

/// A vector that was found among ``Vectors``.
public struct Hit: Hashable, Sendable {
    /// Which vector it is, counted from 0.
    public let index: Int
    /// Its dot product with the query: of embeddings of length 1, their cosine.
    public let score: Float
}

/// Embeddings to search, as floats or as 8-bit integers. Every vector is compared: what is found is exact.
///
/// ```swift
/// let vectors = try Vectors(await clip.embed(pictures: pictures))
/// let best = try await vectors.topk(20, of: try await clip.embed(texts: ["a dog on the beach"])[0])
/// ```
///
/// The score of a query `q` and a vector `x` is `Σ q[i] · x[i]`.
public struct Vectors: Sendable {
    private enum Form: Sendable {
        case floats([Float])
        case integers([Int8], scales: [Float])
    }

    private let form: Form
    /// How many vectors there are.
    public let count: Int
    /// Numbers of each.
    public let size: Int

    private init(_ form: Form, _ count: Int, _ size: Int) {
        self.form = form
        self.count = count
        self.size = size
    }

    /// Vectors of `size` numbers, one after the other.
    /// - Throws: ``VitrumError``: `invalidArgument` for values that are not whole vectors.
    public init(_ values: [Float], size: Int) throws {
        self.init(.floats(values), try rows(values.count, size), size)
    }

    /// Vectors such as ``Clip/embed(pictures:normalizes:progress:)`` returns. They are copied.
    /// - Throws: ``VitrumError``: `invalidArgument` for none, or vectors of several sizes.
    public init(_ vectors: [[Float]]) throws {
        let size = vectors.first?.count ?? 0
        self.init(.floats(try joined(vectors, size, "vector")), vectors.count, size)
    }

    /// Vectors as ``codes`` and ``scales`` have them: vector `i` is `scales[i]` times its row.
    /// - Throws: ``VitrumError``: `invalidArgument` for codes that are not whole vectors, or another number of scales.
    public init(codes: [Int8], scales: [Float], size: Int) throws {
        let count = try rows(codes.count, size)
        guard scales.count == count else {
            throw VitrumError(.invalidArgument, "\(scales.count) scales for \(count) vectors")
        }
        self.init(.integers(codes, scales: scales), count, size)
    }

    /// The 8-bit integers, ``size`` for each vector; `nil` of floats.
    public var codes: [Int8]? {
        if case .integers(let codes, _) = form { return codes }
        return nil
    }

    /// What each vector's integers are multiplied with; `nil` of floats.
    public var scales: [Float]? {
        if case .integers(_, let scales) = form { return scales }
        return nil
    }

    /// These vectors, each rounded to 8-bit integers with a scale, the largest magnitude divided by 127: a quarter of the memory, and
    /// of the time of a search that memory bounds.
    /// - Throws: ``VitrumError``: `nonFinite` for a value that is NaN or infinite; `invalidArgument` if they are 8-bit integers already.
    public func quantized() throws -> Vectors {
        guard case .floats(let values) = form else {
            throw VitrumError(.invalidArgument, "these vectors are 8-bit integers")
        }
        guard count > 0 else { return try Vectors(codes: [], scales: [], size: size) }
        var scales = [Float](repeating: 0, count: count)
        let codes = try [Int8](unsafeUninitializedCapacity: values.count) { buffer, written in
            try check { vitrum_quantize_vectors(values, count, size, buffer.baseAddress!, &scales, $0) }
            written = values.count
        }
        return try Vectors(codes: codes, scales: scales, size: size)
    }

    /// The `k` vectors with the largest scores, or all if they are fewer: the best first, of equal scores the one with the smaller
    /// index.
    /// - Throws: ``VitrumError``: `invalidArgument` for a `k` of 0 or a query of another size; `nonFinite`; `CancellationError`.
    public func topk(
        _ k: Int, of query: [Float], context: Context? = nil, progress: ProgressHandler? = nil
    ) async throws -> [Hit] {
        try await topk(k, ofEach: [query], context: context, progress: progress)[0]
    }

    /// The same for several queries, faster than one call for each. More than eight are a matrix product, which changes the last bits
    /// of scores.
    /// - Throws: As ``topk(_:of:context:progress:)``; `invalidArgument` for no queries.
    public func topk(
        _ k: Int, ofEach queries: [[Float]], context: Context? = nil, progress: ProgressHandler? = nil
    ) async throws -> [[Hit]] {
        guard k >= 0 else { throw VitrumError(.invalidArgument, "k is \(k)") }
        let flat = try joined(queries, size, "query")
        let each = min(k, count)
        let context = try context ?? Context.shared()
        let hits: [vitrum_hit] = try await perform(on: context.queue, progress: progress) { call in
            var options = try prepared(vitrum_topk_options(), vitrum_topk_options_init)
            options.progress = reportProgress
            options.progress_user = call.user
            return try withC { vectors in
                try flat.withUnsafeBufferPointer { flat in
                    try collect(queries.count * each) {
                        vitrum_topk(
                            context.handle.pointer, address(flat), queries.count, vectors, k, &options, $0, $1, $2, $3)
                    }
                }
            }
        }
        return queries.indices.map { query in
            hits[query * each..<(query + 1) * each].map { Hit(index: Int($0.index), score: $0.score) }
        }
    }

    private func withC<Result>(_ body: (UnsafePointer<vitrum_vectors>) throws -> Result) throws -> Result {
        var vectors = try prepared(vitrum_vectors(), vitrum_vectors_init)
        vectors.count = count
        vectors.dim = size
        switch form {
        case .floats(let values):
            return try values.withUnsafeBufferPointer {
                vectors.values = address($0)
                return try body(&vectors)
            }
        case .integers(let codes, let scales):
            return try codes.withUnsafeBufferPointer { codes in
                try scales.withUnsafeBufferPointer {
                    vectors.codes = address(codes)
                    vectors.scales = address($0)
                    return try body(&vectors)
                }
            }
        }
    }
}

private func rows(_ count: Int, _ size: Int) throws -> Int {
    guard size > 0, count % size == 0 else {
        throw VitrumError(.invalidArgument, "\(count) values are not whole vectors of \(size)")
    }
    return count / size
}

private func joined(_ vectors: [[Float]], _ size: Int, _ name: String) throws -> [Float] {
    guard size > 0 else { throw VitrumError(.invalidArgument, "\(name) 0: no values") }
    for (index, vector) in vectors.enumerated() where vector.count != size {
        throw VitrumError(.invalidArgument, "\(name) \(index): \(vector.count) values, not \(size)")
    }
    return vectors.flatMap { $0 }
}
