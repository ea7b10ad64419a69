//! Keeps the C allocator from holding on to memory: a sandbox's daemon idles most of its life.

/// Arenas of the allocator: threads for file operations share them instead of having one each.
const ARENAS: libc::c_int = 2;

/// Limits what the allocator keeps per thread. Call once, before threads start.
#[expect(unsafe_code, reason = "mallopt has no safe wrapper")]
pub fn limit_allocator() {
    // SAFETY: sets an integer option of the allocator; no memory is passed. An unknown option is ignored.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, ARENAS);
    }
}

/// Gives free memory back to the system.
#[expect(unsafe_code, reason = "malloc_trim has no safe wrapper")]
pub fn release_free_memory() {
    // SAFETY: releases pages that no allocation uses; safe at any time from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}
