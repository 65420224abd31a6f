import CZstd
import PurserStore

/// What both directions agree on.
enum Zstandard {
  static let level: Int32 = 3

  /// No frame may ask for a window above 128 MiB, so that a hostile one cannot ask for all memory.
  static let maximumWindowLog: Int32 = 27

  /// Whether the beginning of a content shrinks by a tenth or more.
  static func isWorthwhile(_ sample: UnsafeRawBufferPointer) -> Bool {
    let bound = ZSTD_compressBound(sample.count)
    return withUnsafeTemporaryAllocation(byteCount: bound, alignment: 1) { buffer in
      let size = ZSTD_compress(buffer.baseAddress, bound, sample.baseAddress, sample.count, level)
      return ZSTD_isError(size) == 0 && size <= sample.count - sample.count / 10
    }
  }

  /// A small content, compressed in one go; `nil` where that is not worthwhile.
  static func compress(_ content: [UInt8]) -> [UInt8]? {
    guard content.count >= 128 else { return nil }
    var output = [UInt8](repeating: 0, count: ZSTD_compressBound(content.count))
    let size = ZSTD_compress(&output, output.count, content, content.count, level)
    guard ZSTD_isError(size) == 0, size <= content.count - content.count / 10 else { return nil }
    return Array(output.prefix(size))
  }
}

/// Compresses a stream.
struct ZstdCompressor: ~Copyable {
  private let context: OpaquePointer

  init?() {
    guard let context = ZSTD_createCCtx() else { return nil }
    self.context = context
    ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, Zstandard.level)
  }

  deinit {
    ZSTD_freeCCtx(context)
  }

  /// Feeds one piece, handing what comes out to `sink`; the last piece ends the frame. `false` if the library failed.
  mutating func add(
    _ piece: UnsafeRawBufferPointer, isLast: Bool, into buffer: UnsafeMutableRawBufferPointer,
    _ sink: (UnsafeRawBufferPointer) throws(StoreError) -> Void
  ) throws(StoreError) -> Bool {
    var input = ZSTD_inBuffer(src: piece.baseAddress, size: piece.count, pos: 0)
    while true {
      var output = ZSTD_outBuffer(dst: buffer.baseAddress, size: buffer.count, pos: 0)
      let left = ZSTD_compressStream2(context, &output, &input, isLast ? ZSTD_e_end : ZSTD_e_continue)
      guard ZSTD_isError(left) == 0 else { return false }
      if output.pos > 0 { try sink(UnsafeRawBufferPointer(rebasing: buffer[0..<output.pos])) }
      if isLast ? left == 0 : input.pos == input.size { return true }
    }
  }
}

/// Decompresses a stream.
struct ZstdDecompressor: ~Copyable {
  private let context: OpaquePointer
  private var isFrameComplete = false

  init?() {
    guard let context = ZSTD_createDCtx() else { return nil }
    self.context = context
    ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, Zstandard.maximumWindowLog)
  }

  deinit {
    ZSTD_freeDCtx(context)
  }

  /// Whether the input so far ends where a frame does.
  var isComplete: Bool { isFrameComplete }

  /// Feeds one piece, handing what comes out to `sink`, which may say stop. `false` for damage or a stop.
  mutating func add(
    _ piece: UnsafeRawBufferPointer, into buffer: UnsafeMutableRawBufferPointer,
    _ sink: (UnsafeRawBufferPointer) throws(StoreError) -> Bool
  ) throws(StoreError) -> Bool {
    var input = ZSTD_inBuffer(src: piece.baseAddress, size: piece.count, pos: 0)
    var mayHoldMore = true
    while input.pos < input.size || mayHoldMore {
      guard !isFrameComplete else { return input.pos == input.size }
      var output = ZSTD_outBuffer(dst: buffer.baseAddress, size: buffer.count, pos: 0)
      let hint = ZSTD_decompressStream(context, &output, &input)
      guard ZSTD_isError(hint) == 0 else { return false }
      isFrameComplete = hint == 0
      mayHoldMore = output.pos == output.size
      if output.pos > 0, try !sink(UnsafeRawBufferPointer(rebasing: buffer[0..<output.pos])) { return false }
    }
    return true
  }
}
