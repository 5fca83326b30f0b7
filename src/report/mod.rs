//! REPORTS: what administrators and partners ask of job accounting again and again, made of released data and
//! written as JSON, CSV, text and a page. Sees what a partner would see ([`released::Released`]), never a raw
//! row; decides nothing about what may leave.
//!
//! A report makes a [`page::Page`]; `write/` puts it in every format. Rows that are many are written while they
//! are read.

use std::fmt::Debug;

use crate::error::Result;

pub mod breakdown;
pub mod cell;
pub mod commands;
pub mod efficiency;
pub mod failures;
pub mod folder;
pub mod local;
pub mod page;
pub mod people;
pub mod plot;
pub mod progress;
pub mod ragged;
pub mod released;
pub mod roles;
pub mod site;
pub mod study;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod time;
pub mod vectors;
pub mod write;

use folder::Folder;
use page::Page;
use roles::Role;
use study::Study;
use write::{Format, Meta};

/// A report that can be asked for.
#[derive(Debug, Clone)]
pub enum Report {
    /// Values of a column, and of one within another.
    Breakdown(breakdown::Breakdown),
    /// Commands and environments.
    Commands(commands::Layout),
    /// Users and their addresses.
    Correlations,
    /// Hours, processors, memory.
    Efficiency,
    /// Users whose jobs fail.
    FailedUsers,
    /// Addresses.
    Ips,
    /// Pairs of column and value.
    Ragged(Vec<String>),
    /// Jobs at a site, or at each.
    Site(Option<String>),
    /// Users, addresses, correlations, time.
    Summary,
    /// Users.
    Users,
    /// Numbers for learning.
    Vectors(vectors::Vectors),
}

/// Every report's name and what it tells.
pub const ALL: &[(&str, &str)] = &[
    ("breakdown", "how rows fall into the values of a column, or of one column within another"),
    ("commands", "commands and environments as text, a block a job"),
    ("correlations", "the address that each user comes from most often"),
    ("efficiency", "jobs, hours, processor efficiency and memory by user, site and hour"),
    ("failed-users", "users whose jobs start and do not complete, and the job failure fraction"),
    ("ips", "addresses with token, count, valid"),
    ("ragged", "JSON lines of the pairs of column and value that are not null"),
    ("site", "the jobs at a site whatever its spelling, or at each site"),
    ("summary", "users, addresses, correlations and jobs over time in one"),
    ("users", "users with token, count, valid"),
    ("vectors", "feature vectors in parquet, with a codebook"),
];

/// Where a report goes.
#[derive(Debug)]
pub struct Output<'a> {
    /// The folder.
    pub folder: &'a mut Folder,
    /// The formats.
    pub formats: &'a [Format],
    /// Whose data, under which policy, of when.
    pub meta: &'a Meta,
}

impl Output<'_> {
    /// Writes a page in all formats.
    ///
    /// # Errors
    /// When a file is there already or cannot be written.
    pub fn write(&mut self, page: &Page) -> Result<()> {
        write::write(page, self.meta, self.formats, self.folder)
    }

    /// Looks whether a page's files would be refused, before the work.
    ///
    /// # Errors
    /// When one is there and may not be replaced.
    pub fn refuse(&self, page: &Page) -> Result<()> {
        let ends = self.formats.iter().map(|format| format.end());
        ends.map(|end| format!("{}.{end}", page.stem))
            .try_for_each(|name| self.folder.refuse(&name))
    }
}

impl Report {
    /// Its name on the command line.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Breakdown(_) => "breakdown",
            Self::Commands(_) => "commands",
            Self::Correlations => "correlations",
            Self::Efficiency => "efficiency",
            Self::FailedUsers => "failed-users",
            Self::Ips => "ips",
            Self::Ragged(_) => "ragged",
            Self::Site(_) => "site",
            Self::Summary => "summary",
            Self::Users => "users",
            Self::Vectors(_) => "vectors",
        }
    }

    /// The roles without whose columns it tells less.
    pub const fn roles(&self) -> &'static [Role] {
        match self {
            Self::Breakdown(_) | Self::Ragged(_) | Self::Vectors(_) => &[],
            Self::Commands(_) => &[Role::Command, Role::Environment],
            Self::Correlations | Self::Summary => &[Role::User, Role::Ip],
            Self::Efficiency => &[Role::User, Role::Site, Role::Wall, Role::Cpu],
            Self::FailedUsers => &[Role::User, Role::Starts, Role::Completions],
            Self::Ips => &[Role::Ip],
            Self::Site(_) => &[Role::Site, Role::User],
            Self::Users => &[Role::User],
        }
    }

    /// Makes it and writes it. Says whether what was asked for was there.
    ///
    /// # Errors
    /// When a statement is refused or fails, or a file cannot be written.
    pub fn run(&self, study: &Study<'_>, output: &mut Output<'_>) -> Result<bool> {
        study.progress().step(self.name());
        if let Some(stem) = self.stem() {
            output.refuse(&Page { stem: stem.to_owned(), ..Page::default() })?;
        }
        let pages = match self {
            Self::Breakdown(wanted) => vec![breakdown::report(study, wanted)?],
            Self::Commands(layout) => vec![commands::report(study, layout, output)?],
            Self::Correlations => vec![people::correlations(study)?],
            Self::Efficiency => vec![efficiency::report(study)?],
            Self::FailedUsers => vec![failures::report(study)?],
            Self::Ips => vec![people::report(study, Role::Ip)?],
            Self::Ragged(columns) => vec![ragged::report(study, columns, output)?],
            Self::Site(Some(name)) => vec![site::one(study, name, output)?],
            Self::Site(None) => site::all(study, output)?,
            Self::Summary => vec![people::summary(study)?],
            Self::Users => vec![people::report(study, Role::User)?],
            Self::Vectors(wanted) => vec![vectors::report(study, wanted, output)?],
        };
        for page in &pages {
            output.write(page)?;
        }
        Ok(pages.iter().all(|page| page.found))
    }

    /// The stem of its files, where that is known before any row is.
    const fn stem(&self) -> Option<&'static str> {
        match self {
            Self::Correlations => Some("correlations"),
            Self::Efficiency => Some("efficiency"),
            Self::FailedUsers => Some("failed_users"),
            Self::Ips => Some("ips"),
            Self::Summary => Some("summary"),
            Self::Users => Some("users"),
            Self::Site(None) => Some("sites"),
            _ => None,
        }
    }
}
