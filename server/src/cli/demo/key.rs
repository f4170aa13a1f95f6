//! Single keys from a terminal, without waiting for Enter. The terminal is as it was before when this is
//! dropped.
#![allow(unsafe_code, reason = "the standard library has no terminal modes, and no poll")]

use std::mem::MaybeUninit;
use std::time::Duration;

use crate::task;

/// What a key means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Prompt,
    Quit,
}

pub(super) struct Keyboard {
    before: Option<libc::termios>,
}

impl Keyboard {
    pub(super) fn take() -> Self {
        let mut mode = MaybeUninit::<libc::termios>::uninit();
        // SAFETY: tcgetattr fills the structure when it returns 0, and only then it is read.
        let before = unsafe {
            (libc::tcgetattr(libc::STDIN_FILENO, mode.as_mut_ptr()) == 0).then(|| mode.assume_init())
        };
        if let Some(mut mode) = before {
            mode.c_lflag &= !(libc::ICANON | libc::ECHO);
            set(&mode);
        }
        Self { before }
    }

    /// Waits for a key that means something; `None` when the time is over.
    pub(super) async fn wait(&self, limit: Duration) -> Option<Key> {
        task::start_blocking(move || wait(limit)).await
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            set(before);
        }
    }
}

fn set(mode: &libc::termios) {
    // SAFETY: the structure came from tcgetattr.
    unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, mode) };
}

fn wait(limit: Duration) -> Option<Key> {
    let mut input = libc::pollfd { fd: libc::STDIN_FILENO, events: libc::POLLIN, revents: 0 };
    let millis = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: one valid entry, and its count.
    if unsafe { libc::poll(&raw mut input, 1, millis) } <= 0 {
        return None;
    }
    let mut byte = 0_u8;
    // Not through the standard library's buffer, which would take more than one key.
    // SAFETY: one byte is written at most, to a byte.
    if unsafe { libc::read(libc::STDIN_FILENO, (&raw mut byte).cast(), 1) } != 1 {
        return Some(Key::Quit);
    }
    match byte {
        b'q' | b'Q' => Some(Key::Quit),
        b'\n' | b'\r' | b':' => Some(Key::Prompt),
        _ => None,
    }
}
