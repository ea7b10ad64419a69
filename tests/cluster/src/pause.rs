//! The pause program: holds a pod's namespaces, reaps orphans, ends on SIGTERM.
//!
//! The executable is put together here, instruction by instruction, so that no compiler
//! for a second language is needed. It is 215 bytes long and does this:
//!
//! ```text
//! block all signals            (blocked signals reach even PID 1, whose defaults are "ignore")
//! loop:
//!     wait for a signal
//!     exit(0) on SIGTERM or SIGINT
//!     reap every child that has ended
//! ```

use anyhow::{Result, ensure};
use silica_api::names;
use silica_oci::{Compression, Digest, Entry, Image, ImageConfig, Layer};

/// Where the image is loaded into memory.
const BASE: u64 = 0x40_0000;
/// ELF header and one program header.
const HEADERS: u16 = 64 + 56;

/// The machine code (x86-64 System V; system call numbers of `asm/unistd_64.h`).
#[rustfmt::skip]
const CODE: &[u8] = &[
    // rt_sigprocmask(SIG_BLOCK, &all, NULL, 8)
    0xb8, 14, 0, 0, 0,                         // mov eax, 14
    0x31, 0xff,                                // xor edi, edi
    0x48, 0x8d, 0x35, 0x51, 0, 0, 0,           // lea rsi, [all]
    0x31, 0xd2,                                // xor edx, edx
    0x41, 0xba, 8, 0, 0, 0,                    // mov r10d, 8
    0x0f, 0x05,                                // syscall
    // wait: signal = rt_sigtimedwait(&all, NULL, NULL, 8)
    0xb8, 128, 0, 0, 0,                        // mov eax, 128
    0x48, 0x8d, 0x3d, 0x3b, 0, 0, 0,           // lea rdi, [all]
    0x31, 0xf6,                                // xor esi, esi
    0x31, 0xd2,                                // xor edx, edx
    0x41, 0xba, 8, 0, 0, 0,                    // mov r10d, 8
    0x0f, 0x05,                                // syscall
    0x83, 0xf8, 15,                            // cmp eax, SIGTERM
    0x74, 0x21,                                // je exit
    0x83, 0xf8, 2,                             // cmp eax, SIGINT
    0x74, 0x1c,                                // je exit
    // reap: wait4(-1, NULL, WNOHANG, NULL) until it finds no more
    0xb8, 61, 0, 0, 0,                         // mov eax, 61
    0xbf, 0xff, 0xff, 0xff, 0xff,              // mov edi, -1
    0x31, 0xf6,                                // xor esi, esi
    0xba, 1, 0, 0, 0,                          // mov edx, WNOHANG
    0x45, 0x31, 0xd2,                          // xor r10d, r10d
    0x0f, 0x05,                                // syscall
    0x85, 0xc0,                                // test eax, eax
    0x7f, 0xe6,                                // jg reap
    0xeb, 0xc2,                                // jmp wait
    // exit: exit(0)
    0xb8, 60, 0, 0, 0,                         // mov eax, 60
    0x31, 0xff,                                // xor edi, edi
    0x0f, 0x05,                                // syscall
    // all: a signal set with every signal in it
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
];

/// The statically linked executable (ELF-64, `elf(5)`).
pub fn executable() -> Vec<u8> {
    let size = u64::from(HEADERS) + CODE.len() as u64;
    let mut elf = Vec::new();
    // Magic, 64 bit, little endian, version 1, System V; padded to 16 bytes.
    elf.extend_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    elf.extend_from_slice(&2_u16.to_le_bytes()); // executable
    elf.extend_from_slice(&62_u16.to_le_bytes()); // x86-64
    elf.extend_from_slice(&1_u32.to_le_bytes()); // version
    elf.extend_from_slice(&(BASE + u64::from(HEADERS)).to_le_bytes()); // entry point
    elf.extend_from_slice(&64_u64.to_le_bytes()); // program headers follow
    elf.extend_from_slice(&0_u64.to_le_bytes()); // no section headers
    elf.extend_from_slice(&0_u32.to_le_bytes()); // flags
    for half in [64_u16, 56, 1, 64, 0, 0] {
        elf.extend_from_slice(&half.to_le_bytes()); // sizes and counts of the headers
    }
    elf.extend_from_slice(&1_u32.to_le_bytes()); // load this segment
    elf.extend_from_slice(&5_u32.to_le_bytes()); // readable, executable
    for word in [0, BASE, BASE, size, size, 0x1000] {
        elf.extend_from_slice(&word.to_le_bytes()); // offset, addresses, sizes, alignment
    }
    elf.extend_from_slice(CODE);
    elf
}

/// The image of a pod's sandbox, `silica.invalid/pause:<hash>`.
pub fn image() -> Result<Image> {
    ensure!(
        cfg!(target_arch = "x86_64"),
        "failed to make the pause image: only x86-64 is supported"
    );
    let executable = executable();
    let tag = Digest::of(&executable).hex()[..12].to_owned();
    let layer = Layer::from_entries(vec![Entry::file("/pause", 0o755, executable)], Compression::Gzip)?;
    Ok(Image {
        reference: names::local_image("pause", &tag),
        layers: vec![layer],
        config: ImageConfig {
            entrypoint: vec!["/pause".to_owned()],
            user: "65535:65535".to_owned(),
            ..ImageConfig::default()
        },
    })
}

#[cfg(all(test, target_arch = "x86_64", target_os = "linux"))]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    use super::*;

    #[test]
    fn program_ignores_hangup_and_ends_with_success_on_sigterm() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pause");
        std::fs::write(&path, executable()).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut child = Command::new(&path).spawn().unwrap();
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
        // Before its first instruction has run, signals would still kill the process.
        let waits = || {
            std::fs::read_to_string(format!("/proc/{pid}/syscall"))
                .unwrap()
                .starts_with("128 ")
        };
        while !waits() {
            assert!(child.try_wait().unwrap().is_none(), "it ended");
            std::thread::yield_now();
        }
        kill(pid, Signal::SIGHUP).unwrap();
        kill(pid, Signal::SIGCHLD).unwrap();
        kill(pid, Signal::SIGTERM).unwrap();
        assert!(child.wait().unwrap().success());
    }
}
