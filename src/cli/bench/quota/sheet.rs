//! The figures of all runs, as a table.

use std::fmt::Display;

use super::super::super::table::{build_table, thousands};
use super::super::median;

/// What a figure is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FigureUnit {
    /// The share that gives a measure its name.
    Share,
    /// The requests that there had to be as a share of those that there were.
    Efficiency,
    /// Messages a second.
    Pace,
    /// Seconds of processor time a second.
    Processor,
    /// Seconds that a stream had to wait for its turn.
    LongestWait,
    /// The most memory that was resident, in MiB.
    Memory,
    /// Rules that were broken. Here the runs are added up.
    Broken,
}

#[derive(Debug)]
struct SheetRow {
    what: String,
    unit: FigureUnit,
    goal: Option<f64>,
    /// One of each run.
    figures: Vec<f64>,
    /// Where the requests of the last run went.
    requests: String,
}

/// The rows, in the order in which they were first noted.
#[derive(Debug, Default)]
pub(super) struct FigureSheet {
    rows: Vec<SheetRow>,
}

impl FigureSheet {
    /// Adds a run's figure to those of the same measure and unit.
    pub(super) fn note(
        &mut self,
        what: &str,
        unit: FigureUnit,
        goal: Option<f64>,
        figure: f64,
        requests: String,
    ) {
        if let Some(row) = self
            .rows
            .iter_mut()
            .find(|row| row.what == what && row.unit == unit)
        {
            row.figures.push(figure);
            row.requests = requests;
        } else {
            self.rows.push(SheetRow {
                what: what.to_owned(),
                unit,
                goal,
                figures: vec![figure],
                requests,
            });
        }
    }

    /// Whether no rule was broken.
    pub(super) fn has_no_broken_rules(&self) -> bool {
        self.rows
            .iter()
            .filter(|row| row.unit == FigureUnit::Broken)
            .all(|row| row.figure() <= 0.0)
    }

    pub(super) fn table(&self) -> impl Display {
        let cells = |row: &SheetRow| {
            let goal = row
                .goal
                .map_or_else(String::new, |goal| row.unit.shown(goal));
            let what = row
                .unit
                .rest()
                .map_or_else(|| row.what.clone(), |unit| format!("… {unit}"));
            [
                what,
                row.unit.shown(row.figure()),
                goal,
                row.requests.clone(),
            ]
        };
        build_table(
            ["MEASURE", "MEDIAN#", "GOAL#", "REQUESTS"],
            self.rows.iter().map(cells),
        )
    }
}

impl SheetRow {
    fn figure(&self) -> f64 {
        if self.unit == FigureUnit::Broken {
            self.figures.iter().sum()
        } else {
            median(&self.figures)
        }
    }
}

impl FigureUnit {
    /// What a row is called that does not begin a measure.
    fn rest(self) -> Option<&'static str> {
        match self {
            Self::Share => None,
            Self::Efficiency => Some("two requests a hundred messages, to those made"),
            Self::Pace => Some("messages a second"),
            Self::Processor => Some("processor seconds a second"),
            Self::LongestWait => Some("longest wait for a look, seconds"),
            Self::Memory => Some("peak memory, MiB"),
            Self::Broken => Some("rules broken"),
        }
    }

    fn shown(self, figure: f64) -> String {
        match self {
            Self::Share | Self::Efficiency | Self::Processor => format!("{figure:.3}"),
            Self::Pace | Self::LongestWait | Self::Memory | Self::Broken => {
                thousands(figure as u64)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_medians_and_broken_rules_add_up() {
        let mut sheet = FigureSheet::default();
        for (share, broken) in [(0.9, 0.0), (0.5, 0.0), (0.8, 1.0)] {
            assert!(sheet.has_no_broken_rules());
            sheet.note(
                "a",
                FigureUnit::Share,
                Some(0.95),
                share,
                format!("{broken}"),
            );
            sheet.note("a", FigureUnit::Broken, Some(0.0), broken, String::new());
        }
        assert!(!sheet.has_no_broken_rules());
        let table = sheet.table().to_string();
        let lines: Vec<Vec<&str>> = table
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(
            lines[1..],
            [
                vec!["a", "0.800", "0.950", "1"],
                vec!["…", "rules", "broken", "1", "0"]
            ]
        );
    }
}
