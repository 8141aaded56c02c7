//! Which rep a lead goes to, and why.
//!
//! ```text
//!   lead, circumstances ─┐
//!   candidates ──────────┼─▶ eligibility: off, break, cap, shift, skills, language ─▶ score ─▶ rank ─▶ Choice: rep, alternatives,
//!   policy ──────────────┘        └▶ barriers, counted                                                reasons written when asked
//!   waiting leads × candidates ─▶ the same eligibility and score ─▶ optimiser::Problem
//! ```
//! **Contract**: never a rep who is off or at the cap. Of equal scores the rep with fewer active leads is taken, then the one with the least id, so
//! the order in which candidates come does not matter.
//!
//! Decided here, since the definitions leave it open:
//! - A rep on break gets no new lead unless the policy says so; one who is busy does, the phase says how soon there will be time.
//! - A lead's skills are a requirement, its language a preference; the policy may turn each into the other or off. What is preferred
//!   goes before the score: a rep who has it beats any who has not.
//! - What nobody of the whole team has, on duty or not, is waived: such a lead would wait for ever.
//! - A rep speaks the dealer's language, and every language that is among the rep's skills, as `es` or `language:es`; regions
//!   (`es-MX`) and letter case make no difference.

pub mod candidate;
pub mod choice;
pub mod eligibility;
pub mod reasons;
pub mod score;
pub mod shift;

#[cfg(test)]
mod tests;
