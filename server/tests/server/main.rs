//! The program and the library, from outside: processes are started, asked, stopped and killed as users do.

mod access;
mod command;
mod demo;
mod lake;
mod library;
mod owner;
mod postgres;
mod process;
