//! What the standard library does elsewhere: entry point, memory, panics, and becoming another
//! program. The C library brings the first instruction and `execv`; nothing else of it is used.

use alloc::{ffi::CString, format, string::String, vec::Vec};
use core::panic::PanicInfo;

use dlmalloc::GlobalDlmalloc;

#[global_allocator]
static MEMORY: GlobalDlmalloc = GlobalDlmalloc;

/// Called by the C library's start code, which ends the process with what it returns.
#[expect(unsafe_code, reason = "the C library looks for this name")]
#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    crate::conclude(crate::run())
}

/// Becomes the command with this process's environment; returns when it cannot.
pub(crate) fn become_command(command: &[String]) -> Result<(), String> {
    let Some(program) = command.first() else {
        return Ok(());
    };
    let words: Result<Vec<CString>, _> = command.iter().map(|word| CString::new(word.as_str())).collect();
    // The words came from a command line, where zero bytes separate them.
    let words = words.map_err(|error| format!("{error}"))?;
    let mut pointers: Vec<*const libc::c_char> = words.iter().map(|word| word.as_ptr()).collect();
    pointers.push(core::ptr::null());
    // SAFETY: every pointer but the last, null one is to a string that ends with a zero byte,
    // and `words` keeps them alive over the call.
    #[expect(
        unsafe_code,
        reason = "there is no safe call for this without the standard library"
    )]
    unsafe {
        libc::execv(pointers[0], pointers.as_ptr());
    }
    Err(format!("failed to run {program}"))
}

/// Writes to standard error; when that fails there is nobody else to tell.
pub(crate) fn tell(line: &str) {
    // SAFETY: nothing in this program closes the descriptor that it was started with.
    #[expect(unsafe_code, reason = "only the standard library can promise this by itself")]
    let stderr = unsafe { rustix::stdio::stderr() };
    let _ = rustix::io::write(stderr, line.as_bytes());
}

/// The compiled `alloc` library refers to this for unwinding, which a program that aborts on
/// panic never does.
#[expect(unsafe_code, reason = "the linker looks for this name")]
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    tell("silica-loader: a bug made it stop\n");
    abort()
}

fn abort() -> ! {
    loop {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::ABORT);
    }
}
