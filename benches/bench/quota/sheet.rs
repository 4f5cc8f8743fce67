//! The figures of all runs as a table.

use std::fmt::Display;

use backscroll::cli::table::build_table;
use backscroll::domain::format::thousands;

use crate::bench::report::median;

/// The meaning of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FigureUnit {
    /// The share that gives a measure its name.
    Share,
    /// The necessary requests as a share of the actual ones.
    Efficiency,
    /// Messages per second.
    Throughput,
    /// Processor seconds per second.
    Processor,
    /// The longest interval between two polls of a stream, in seconds.
    LongestWait,
    /// Peak resident memory, in MiB.
    Memory,
    /// The number of broken rules. The runs are summed, unlike those of other figures.
    Broken,
}

/// The figures of one measure and unit.
#[derive(Debug)]
struct SheetRow {
    measure: String,
    unit: FigureUnit,
    goal: Option<f64>,
    /// One figure per run.
    figures: Vec<f64>,
    /// A remark on the last run, such as the kinds of its requests.
    remark: String,
}

/// The rows in the order in which they were first added.
#[derive(Debug, Default)]
pub(crate) struct FigureSheet {
    rows: Vec<SheetRow>,
}

impl FigureSheet {
    /// Adds the figure of a run to those of the same measure and unit.
    pub(crate) fn add(
        &mut self,
        measure: &str,
        unit: FigureUnit,
        goal: Option<f64>,
        figure: f64,
        remark: String,
    ) {
        let known = self
            .rows
            .iter_mut()
            .find(|row| row.measure == measure && row.unit == unit);
        if let Some(row) = known {
            row.figures.push(figure);
            row.remark = remark;
        } else {
            let (measure, figures) = (measure.to_owned(), vec![figure]);
            self.rows.push(SheetRow {
                measure,
                unit,
                goal,
                figures,
                remark,
            });
        }
    }

    /// True if no rule was broken.
    pub(crate) fn has_no_broken_rules(&self) -> bool {
        let mut broken = self
            .rows
            .iter()
            .filter(|row| row.unit == FigureUnit::Broken);
        broken.all(|row| row.figure() <= 0.0)
    }

    /// Returns the medians as a table.
    pub(crate) fn table(&self) -> impl Display {
        let rows = self.rows.iter().map(SheetRow::cells);
        build_table(["MEASURE", "MEDIAN#", "GOAL#", "REQUESTS"], rows)
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

    fn cells(&self) -> [String; 4] {
        let goal = self
            .goal
            .map_or_else(String::new, |goal| self.unit.format(goal));
        let continued = self.unit.continuation();
        let measure = continued.map_or_else(|| self.measure.clone(), |unit| format!("… {unit}"));
        [
            measure,
            self.unit.format(self.figure()),
            goal,
            self.remark.clone(),
        ]
    }
}

impl FigureUnit {
    /// Returns the name of a row that continues a measure; `None` for the first row of a measure.
    fn continuation(self) -> Option<&'static str> {
        match self {
            Self::Share => None,
            Self::Efficiency => Some("two requests per hundred messages, to the actual ones"),
            Self::Throughput => Some("messages per second"),
            Self::Processor => Some("processor seconds per second"),
            Self::LongestWait => Some("longest wait for a poll, seconds"),
            Self::Memory => Some("peak memory, MiB"),
            Self::Broken => Some("rules broken"),
        }
    }

    fn format(self, figure: f64) -> String {
        match self {
            Self::Share | Self::Efficiency | Self::Processor => format!("{figure:.3}"),
            Self::Throughput | Self::LongestWait | Self::Memory | Self::Broken => {
                thousands(figure as u64)
            }
        }
    }
}
