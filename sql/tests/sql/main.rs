//! SQL end to end over a real engine: golden cases, and what they cannot say.

mod cancel;
mod connector;
mod definition;
mod golden;
mod planned;
mod session;
mod support;
