//! Generated histories. They depend only on the seed, the time and the options.

mod agora;
mod fill_range;
mod talk;
mod text;
mod web3mq;

pub(super) use self::agora::{agora_projects, app_id, random_agora_message};
pub(super) use self::web3mq::{
    apply_sender_clock, group_id, random_web3mq_message, text_message, user_id, web3mq_accounts,
};
