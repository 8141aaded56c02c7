//! `dealerflow lab`: one model at a time, on anybody's data. One file a model.

pub mod whaco;

use super::CommandError;

/// Judges one model on data of your own.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    model: Model,
}

#[derive(Debug, clap::Subcommand)]
enum Model {
    /// Cluster the rows of a CSV file and score how unusual each is, in one pass
    Whaco(whaco::Arguments),
}

/// Runs the command.
///
/// # Errors
/// Whatever the model's own command says.
pub fn run(arguments: &Arguments) -> Result<(), CommandError> {
    match &arguments.model {
        Model::Whaco(arguments) => whaco::run(arguments),
    }
}
