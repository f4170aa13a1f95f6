//! Which words of a group's row hold which state.

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DECIMAL256_MAX_PRECISION, DataType, TimeUnit};

use super::Function;
use crate::error::Result;

/// Words of a line of the cache.
const LINE_WORDS: usize = 8;

/// An aggregate, its argument and filter given by their places among the values that are folded.
#[derive(Clone, Debug)]
pub struct Call {
    pub function: Function,
    /// `None` only for `count(*)`.
    pub argument: Option<Argument>,
    /// The place of the filter's mask.
    pub filter: Option<usize>,
}

/// An aggregate's argument.
#[derive(Clone, Debug)]
pub struct Argument {
    pub value: usize,
    pub data_type: DataType,
}

/// The states of a set of aggregates.
#[derive(Debug)]
pub struct Plan {
    pub(super) calls: Vec<Planned>,
    pub(super) inputs: Vec<Input>,
    /// A group without rows.
    pub(super) identity: Vec<u64>,
    /// So many of its words stand beside the key: all if that is one line of the cache, else those that every
    /// row changes.
    pub(super) beside: usize,
    /// Columns of text kept beside the words.
    pub(super) texts: usize,
}

/// A call, and where its state is.
#[derive(Debug)]
pub(super) struct Planned {
    pub function: Function,
    pub input: usize,
    /// The argument's type.
    pub data_type: Option<DataType>,
}

/// What is folded from one argument under one filter: the words `n [sum] [min] [max]`. Their places are counted
/// from the first of them.
#[derive(Clone, Debug)]
pub(super) struct Input {
    pub value: Option<usize>,
    pub filter: Option<usize>,
    pub kind: Kind,
    pub sums: bool,
    pub mins: bool,
    pub maxes: bool,
    /// The first word among those of the group.
    pub at: usize,
    /// For text: the columns of the least and the greatest.
    pub text: [usize; 2],
}

/// How values are folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Counted only.
    Count,
    /// Numbers and times of up to 64 bits.
    Integer,
    Float,
    Decimal,
    Text,
}

impl Kind {
    fn of(data_type: &DataType) -> Option<Self> {
        use DataType::{Date32, Decimal128, Float32, Float64, Int8, Int16, Int32, Int64, Time64, Timestamp};
        Some(match data_type {
            Int8 | Int16 | Int32 | Int64 | Date32 => Self::Integer,
            Time64(TimeUnit::Microsecond) | Timestamp(TimeUnit::Microsecond, _) => Self::Integer,
            Float32 | Float64 => Self::Float,
            Decimal128(..) => Self::Decimal,
            DataType::Utf8 => Self::Text,
            _ => return None,
        })
    }

    /// Words of a sum.
    pub fn sum_words(self) -> usize {
        if self == Self::Decimal { 4 } else { 2 }
    }

    /// Words of a least or greatest value.
    pub fn extreme_words(self) -> usize {
        match self {
            Self::Text | Self::Count => 0,
            Self::Integer | Self::Float => 1,
            Self::Decimal => 2,
        }
    }
}

impl Input {
    pub fn sum(&self) -> usize {
        1
    }

    pub fn min(&self) -> usize {
        self.sum() + if self.sums { self.kind.sum_words() } else { 0 }
    }

    pub fn max(&self) -> usize {
        self.min() + if self.mins { self.kind.extreme_words() } else { 0 }
    }

    /// How many there are.
    pub fn words(&self) -> usize {
        self.max() + if self.maxes { self.kind.extreme_words() } else { 0 }
    }
}

/// Can values of that type have a sum?
fn is_summed(data_type: &DataType) -> bool {
    use DataType::{Decimal128, Float32, Float64, Int8, Int16, Int32, Int64};
    matches!(data_type, Int8 | Int16 | Int32 | Int64 | Decimal128(..) | Float32 | Float64)
}

/// The type itself, if `min` and `max` take it.
pub(super) fn check_extreme(function: Function, data_type: &DataType) -> Result<DataType> {
    Kind::of(data_type).map(|_| data_type.clone()).ok_or_else(|| function.unsupported(Some(data_type)))
}

impl Plan {
    /// # Errors
    /// If a function does not take its argument's type.
    pub fn new(calls: &[Call]) -> Result<Self> {
        let mut plan =
            Self { calls: Vec::new(), inputs: Vec::new(), identity: Vec::new(), beside: 0, texts: 0 };
        for call in calls {
            let data_type = call.argument.as_ref().map(|a| a.data_type.clone());
            check(call.function, data_type.as_ref())?;
            let input = plan.input(call);
            plan.calls.push(Planned { function: call.function, input, data_type });
        }
        plan.place();
        Ok(plan)
    }

    fn input(&mut self, call: &Call) -> usize {
        let value = call.argument.as_ref().map(|a| a.value);
        let found = self.inputs.iter().position(|i| i.value == value && i.filter == call.filter);
        let index = found.unwrap_or_else(|| {
            let kind = call.argument.as_ref().and_then(|a| Kind::of(&a.data_type)).unwrap_or(Kind::Count);
            let (filter, text) = (call.filter, [0; 2]);
            let (sums, mins, maxes) = (false, false, false);
            self.inputs.push(Input { value, filter, kind, sums, mins, maxes, at: 0, text });
            self.inputs.len() - 1
        });
        let input = &mut self.inputs[index];
        match call.function {
            Function::Count => {}
            Function::Sum | Function::Avg => input.sums = true,
            Function::Min => input.mins = true,
            Function::Max => input.maxes = true,
        }
        index
    }

    fn place(&mut self) {
        for input in &mut self.inputs {
            if !(input.sums || input.mins || input.maxes) {
                input.kind = Kind::Count;
            }
        }
        // What every row changes comes first.
        let mut inputs: Vec<&mut Input> = self.inputs.iter_mut().collect();
        inputs.sort_by_key(|input| (input.kind != Kind::Count, input.value.is_some()));
        for input in inputs {
            input.at = self.identity.len();
            self.identity.resize(input.at + input.words(), 0);
            if input.value.is_none() {
                self.beside = self.identity.len();
            }
            let words = &mut self.identity[input.at..];
            let least = |words: &mut [u64], value: i128| match input.kind {
                Kind::Integer | Kind::Float => {
                    words[0] = value.clamp(i64::MIN.into(), i64::MAX.into()) as u64
                }
                Kind::Decimal => words[..2].copy_from_slice(&[value as u64, (value >> 64) as u64]),
                Kind::Count | Kind::Text => {}
            };
            if input.mins {
                least(&mut words[input.min()..], i128::MAX);
            }
            if input.maxes {
                least(&mut words[input.max()..], i128::MIN);
            }
            if input.kind == Kind::Text {
                input.text = [self.texts, self.texts + usize::from(input.mins)];
                self.texts += usize::from(input.mins) + usize::from(input.maxes);
            }
        }
        if self.identity.len() < LINE_WORDS {
            self.beside = self.identity.len();
        }
    }

    /// Words of a group's row.
    pub fn words(&self) -> usize {
        self.identity.len()
    }

    /// The types of the columns that hold the states of call `i`; part of the on-disk format.
    ///
    /// | function | columns |
    /// |---|---|
    /// | `count` | `Int64` |
    /// | `sum` of integers | `Decimal128(38, 0)` |
    /// | `sum` of decimals | `Decimal256(76, scale)` |
    /// | `sum` of floats | `Float64` sum, `Float64` compensation |
    /// | `avg` | as `sum`, then `Int64` count |
    /// | `min`, `max` | the argument's type |
    ///
    /// NULL in a first column, where it is not a count, means that no row counted.
    pub fn state_types(&self, i: usize) -> Vec<DataType> {
        let call = &self.calls[i];
        let argument = call.data_type.clone();
        match call.function {
            Function::Count => vec![DataType::Int64],
            Function::Sum => sum_types(argument.as_ref()),
            Function::Avg => {
                let mut types = sum_types(argument.as_ref());
                types.push(DataType::Int64);
                types
            }
            Function::Min | Function::Max => argument.into_iter().collect(),
        }
    }
}

fn check(function: Function, argument: Option<&DataType>) -> Result<()> {
    let fits = match (function, argument) {
        (Function::Count, _) => true,
        (Function::Sum | Function::Avg, Some(t)) => is_summed(t),
        (Function::Min | Function::Max, Some(t)) => Kind::of(t).is_some(),
        (_, None) => false,
    };
    if fits { Ok(()) } else { Err(function.unsupported(argument)) }
}

fn sum_types(argument: Option<&DataType>) -> Vec<DataType> {
    match argument {
        Some(DataType::Decimal128(_, scale)) => {
            vec![DataType::Decimal256(DECIMAL256_MAX_PRECISION, *scale)]
        }
        Some(DataType::Float32 | DataType::Float64) => vec![DataType::Float64, DataType::Float64],
        _ => vec![DataType::Decimal128(DECIMAL128_MAX_PRECISION, 0)],
    }
}
