//! `siltstone sql`: statements from the command line, a file, or a prompt.

use std::io::{self, IsTerminal, Read};
use std::path::PathBuf;

use siltstone_sql::script::{self, ScriptStatement};

use super::config::Settings;
use super::failure::Failure;
use super::part::show;
use super::prompt;
use super::signal::Signals;
use super::target::Target;
use crate::keyword;
use crate::print::{Format, Printer};

const HELP: &str = "\
When a running process owns the directory, that process is asked, through a socket that only the directory's
owner can use; else the directory is opened and read at its last epoch, and its pipelines are not started.
Without -c and -f there is a prompt with history and completion, or standard input is read if it is no terminal.

Examples:
  siltstone sql --data ./data
  siltstone sql --data ./data -c 'SELECT country, sum(n) FROM country_type GROUP BY 1'
  siltstone sql --data ./data -f report.sql -v day=2024-10-20 --format csv > report.csv

Exit codes: 0 done; 1 failure; 2 usage; 3 directory busy and its owner does not answer; 4 SQL error";

#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Arguments {
    /// Statements to run; may be given several times
    #[arg(short, long = "command", value_name = "SQL")]
    command: Vec<String>,
    /// A script to run, after the commands
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Value of :name, :'name' and :"name"
    #[arg(short, long = "variable", value_name = "NAME=VALUE", value_parser = super::variable)]
    variables: Vec<(String, String)>,
    /// How results are shown
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

pub(super) async fn query(settings: Settings, arguments: Arguments) -> Result<(), Failure> {
    let dir = settings.data()?;
    let variables = super::variables(arguments.variables);
    let mut statements = Vec::new();
    for command in &arguments.command {
        statements.extend(script::from_text(command, &variables)?);
    }
    if let Some(file) = &arguments.file {
        statements.extend(script::load(file, &variables).map_err(Failure::script)?);
    }
    if arguments.command.is_empty() && arguments.file.is_none() {
        if io::stdin().is_terminal() {
            let mut target = Target::find(&settings, &dir, false).await?;
            let left = prompt::prompt(&mut target, &dir, arguments.format).await;
            target.close().await;
            return left;
        }
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map_err(|e| Failure::io("reading standard input", &e))?;
        statements = script::from_text(&text, &variables)?;
    }
    let creates = statements.iter().any(|s| keyword::first(&s.sql) == "CREATE");
    let mut target = Target::find(&settings, &dir, creates).await?;
    let mut signals = Signals::new()?;
    let done = tokio::select! {
        done = run_all(&mut target, &statements, arguments.format) => done,
        signal = signals.next() => Err(Failure::new(format!("given up: {signal}"))),
    };
    target.close().await;
    done
}

async fn run_all(target: &mut Target, statements: &[ScriptStatement], format: Format) -> Result<(), Failure> {
    let mut printer = Printer::new(io::BufWriter::new(io::stdout()), format);
    for statement in statements {
        let done = target.run(&statement.sql, &mut |part| show(&mut printer, part)).await;
        done.map_err(|remark| {
            let failure = Failure::sql(remark);
            match statement.file.as_os_str().is_empty() {
                true => failure,
                false => failure.at(format!("{}:{}", statement.file.display(), statement.line)),
            }
        })?;
    }
    Ok(())
}
