/// A fixed number of plain records in one block of memory: the engine's state as data.
///
/// Owned by one ~Copyable value and never resized, so that a record costs no reference count, no
/// uniqueness check and no exclusivity check to reach. Every row is handed out after a bounds check.
@safe
struct Column<Element: BitwiseCopyable>: ~Copyable, @unchecked Sendable {
  // Unchecked: the pointer is owned by this value alone, and the records are plain bits.
  private let base: UnsafeMutablePointer<Element>
  /// How many records the column has.
  let count: Int

  /// Makes a column of equal records, at addresses that begin a cache line.
  init(repeating element: Element, count: Int) {
    self.count = count
    let size = max(count, 1) * MemoryLayout<Element>.stride
    let page = 1 << 21
    let raw =
      size < page / 4
      ? UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 128)
      : UnsafeMutableRawPointer.allocate(
        byteCount: (size + page - 1) / page * page,
        alignment: page
      )
    // Asked for before the first touch: at a million channels a page walk would cost more than a reading.
    if size >= page / 4 {
      unsafe preferLargePages(raw, (size + page - 1) / page * page)
    }
    unsafe base = raw.bindMemory(to: Element.self, capacity: max(count, 1))
    unsafe base.initialize(repeating: element, count: count)
  }

  /// Makes a column without records.
  init(empty: ()) {
    count = 0
    unsafe base = UnsafeMutableRawPointer.allocate(byteCount: 1, alignment: 128)
      .bindMemory(to: Element.self, capacity: 0)
  }

  deinit {
    unsafe UnsafeMutableRawPointer(base).deallocate()
  }

  /// The record at `index`; valid as long as the column lives.
  @inline(__always)
  func row(_ index: Int) -> Row<Element> {
    precondition(UInt(bitPattern: index) < UInt(bitPattern: count), "row out of range")
    return unsafe Row(base + index)
  }

  /// The record at `index`, for an index that was checked before.
  @inline(__always)
  @unsafe
  func row(unchecked index: Int) -> Row<Element> {
    unsafe Row(base + index)
  }

  /// All records, for a loop over many: valid as long as the column lives.
  @inline(__always)
  @unsafe
  var rows: Rows<Element> { unsafe Rows(base) }

  /// Reads or writes the record at `index`.
  subscript(index: Int) -> Element {
    @inline(__always) get { row(index).it }
    @inline(__always) nonmutating set { row(index).it = newValue }
  }

  /// How many bytes the records take.
  var byteCount: Int { count * MemoryLayout<Element>.stride }
}

/// One record of a ``Column``, by reference; lives on the stack of one engine call.
@safe
struct Row<Element: BitwiseCopyable> {
  private let pointer: UnsafeMutablePointer<Element>

  @inline(__always)
  fileprivate init(_ pointer: UnsafeMutablePointer<Element>) {
    unsafe self.pointer = unsafe pointer
  }

  /// The record itself.
  var it: Element {
    @inline(__always) unsafeAddress { unsafe UnsafePointer(pointer) }
    @inline(__always) nonmutating unsafeMutableAddress { unsafe pointer }
  }

  /// Where the record lies, for prefetching.
  @inline(__always)
  @unsafe var address: UnsafeMutablePointer<Element> { unsafe pointer }
}

/// The records of a ``Column``, for indices that were checked before; lives on the stack of one engine call.
///
/// A loop that takes it once need not ask the engine for the column's place again after everything it writes.
@unsafe
struct Rows<Element: BitwiseCopyable> {
  private let base: UnsafeMutablePointer<Element>

  @inline(__always)
  fileprivate init(_ base: UnsafeMutablePointer<Element>) {
    unsafe self.base = unsafe base
  }

  /// The record at `index`.
  @inline(__always)
  subscript(index: Int) -> Row<Element> { unsafe Row(base + index) }
}
