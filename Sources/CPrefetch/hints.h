/* Hints to the memory system that Swift has no words for. None changes what a program computes. */
#ifndef DAVY_PREFETCH_H
#define DAVY_PREFETCH_H

#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

/* Asks for the cache line at an address, which need not be readable, to be written soon. */
static inline void davy_prefetch(const void *address) { __builtin_prefetch(address, 1); }

/* Asks for the cache line at an address, which need not be readable, into the caches behind the nearest one. */
static inline void davy_prefetch_behind(const void *address) { __builtin_prefetch(address, 0, 2); }

/* Asks for large pages behind a range of memory; where there are none, nothing happens. */
static inline void davy_prefer_large_pages(void *address, size_t count) {
#ifdef MADV_HUGEPAGE
    const uintptr_t page = (uintptr_t)1 << 21;
    uintptr_t first = ((uintptr_t)address + page - 1) & ~(page - 1);
    uintptr_t last = ((uintptr_t)address + count) & ~(page - 1);
    if (last > first) (void)madvise((void *)first, last - first, MADV_HUGEPAGE);
#else
    (void)address;
    (void)count;
#endif
}

#endif
