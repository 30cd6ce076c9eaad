#if canImport(CPrefetch)
internal import CPrefetch

/// Asks for the cache line at an address to be written soon.
@inline(__always)
@unsafe
func prefetchLine(_ address: UnsafeRawPointer) {
  unsafe davy_prefetch(address)
}

/// Asks for the cache line at an address into the caches behind the nearest, of which more can be on their way at once.
@inline(__always)
@unsafe
func prefetchLineBehind(_ address: UnsafeRawPointer) {
  unsafe davy_prefetch_behind(address)
}

/// Asks for large pages behind a block of memory.
@unsafe
func preferLargePages(_ address: UnsafeMutableRawPointer, _ count: Int) {
  unsafe davy_prefer_large_pages(address, count)
}
#else
/// Without the C module there are no hints; nothing computed depends on them.
@inline(__always)
@unsafe
func prefetchLine(_ address: UnsafeRawPointer) {}

/// Without the C module there are no hints; nothing computed depends on them.
@inline(__always)
@unsafe
func prefetchLineBehind(_ address: UnsafeRawPointer) {}

/// Without the C module there are no hints; nothing computed depends on them.
@unsafe
func preferLargePages(_ address: UnsafeMutableRawPointer, _ count: Int) {}
#endif
