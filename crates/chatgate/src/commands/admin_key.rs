//! `chatgate admin-key`: replaces a lost key of the first operator. Access to the data folder is the only requirement.

use gateway::data_folder::DataFolder;

use super::output::print;
use crate::args::AdminKeyCommand;

pub(crate) async fn run(command: AdminKeyCommand) -> Result<(), String> {
    let AdminKeyCommand::Reset(args) = command;
    let data = DataFolder::new(&args.data);
    gateway::reset_admin_key(&data).await?;
    let file = data.admin_key();
    print(format!(
        "The first operator's new key is in {}\n",
        file.display()
    ))
}
