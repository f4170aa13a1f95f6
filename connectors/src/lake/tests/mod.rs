//! The lake as the engine uses it, in a folder.

mod fixture;

mod commit;
mod data;
mod object;
mod rest;
mod table;
