//! The input queues. The fuzz target `configuration` includes this file.

use videoframes_core::tenant::{Priority, Weight};

use super::address::QueuePlace;

/// Maximum number of input queues: every idle worker polls all of them.
const MAX_INPUTS: usize = 20;

/// An input queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InputPlace {
    pub(crate) queue: QueuePlace,
    /// Weight relative to the other input queues.
    pub(crate) weight: Weight,
    /// Priorities of the jobs whose messages are sent to the queue.
    pub(crate) priorities: Vec<Priority>,
}

/// The input queues, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InputPlaces {
    pub(crate) first: InputPlace,
    pub(crate) others: Vec<InputPlace>,
}

impl InputPlaces {
    /// Parses queues separated by commas: `QUEUE`, `QUEUE=WEIGHT` or `QUEUE=WEIGHT/PRIORITY+PRIORITY`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut inputs: Vec<InputPlace> = Vec::new();
        for text in text.split(',') {
            let input = InputPlace::parse(text)?;
            if inputs.iter().any(|other| other.queue == input.queue) {
                return Err(format!("a list of different queues, without '{text}' twice"));
            }
            let mut taken = inputs.iter().flat_map(|other| &other.priorities);
            if let Some(twice) = taken.find(|taken| input.priorities.contains(taken)) {
                return Err(format!("a list of queues of which one has the priority {twice}"));
            }
            inputs.push(input);
        }
        if inputs.len() > MAX_INPUTS {
            return Err(format!("a list of at most {MAX_INPUTS} queues"));
        }
        let mut inputs = inputs.into_iter();
        let first = inputs.next().ok_or("at least one queue")?;
        let others: Vec<InputPlace> = inputs.collect();
        if others
            .iter()
            .any(|other| other.queue.is_sqs() != first.queue.is_sqs())
        {
            return Err("a list of queues that are all in SQS, or all in the database".to_owned());
        }
        Ok(Self { first, others })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &InputPlace> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// Returns the queue for messages of unknown priority: the first without priorities, else the first.
    pub(crate) fn main(&self) -> &QueuePlace {
        let main = self.iter().find(|input| input.priorities.is_empty());
        &main.unwrap_or(&self.first).queue
    }
}

impl InputPlace {
    fn parse(text: &str) -> Result<Self, String> {
        let (queue, terms) = text
            .rsplit_once('=')
            .map_or((text, None), |(queue, terms)| (queue, Some(terms)));
        let queue = QueuePlace::parse(queue)?;
        let (weight, priorities) = match terms.map(|terms| terms.split_once('/').unwrap_or((terms, ""))) {
            Some((weight, priorities)) => (Some(weight), priorities),
            None => (None, ""),
        };
        let weight = match weight.map(str::parse) {
            None => Weight::default(),
            Some(weight) => weight
                .ok()
                .and_then(Weight::new)
                .ok_or_else(|| format!("QUEUE=WEIGHT with a weight of 1 to {}", Weight::MAX))?,
        };
        let priorities = priorities.split('+').filter(|name| !name.is_empty());
        let priorities = priorities.map(str::parse).collect::<Result<Vec<Priority>, _>>();
        let priorities = priorities
            .map_err(|_| "QUEUE=WEIGHT/PRIORITY with the priorities low, normal and high, separated by +")?;
        Ok(Self {
            queue,
            weight,
            priorities,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn input_queues_have_weights_and_priorities() {
        let parsed = |text: &str| {
            let inputs = InputPlaces::parse(text).unwrap();
            let inputs = inputs
                .iter()
                .map(|input| (input.queue.clone(), input.weight.get(), input.priorities.clone()));
            inputs.collect::<Vec<_>>()
        };
        let named = |name: &str| QueuePlace::Database(name.to_owned());
        let url = "https://sqs.eu-west-1.amazonaws.com/1/high";
        assert_eq!(parsed("input"), [(named("input"), 1, vec![])]);
        assert_eq!(
            parsed("a=16/high,b,c=2/low+normal"),
            [
                (named("a"), 16, vec![Priority::High]),
                (named("b"), 1, vec![]),
                (named("c"), 2, vec![Priority::Low, Priority::Normal]),
            ]
        );
        let sqs = parsed(&format!("{url}=16,sqs:low=1"));
        assert_eq!(sqs[0], (QueuePlace::Sqs(url.parse().unwrap()), 16, vec![]));
        let main = |text: &str| InputPlaces::parse(text).unwrap().main().clone();
        assert_eq!(main("a=16/high,b,c"), named("b"));
        assert_eq!(main("a=1/high,b=1/normal"), named("a"));
    }

    #[test]
    fn invalid_input_queues_are_rejected() {
        for (text, word) in [
            ("", "1 to 80 bytes"),
            ("a,", "1 to 80 bytes"),
            ("a=0", "weight"),
            ("a=1001", "weight"),
            ("a=x", "weight"),
            ("a=1/highest", "priorities"),
            ("a,a=2", "twice"),
            ("a=1/low,b=1/low", "priority low"),
            ("a,sqs:b", "all in SQS"),
        ] {
            let wrong = InputPlaces::parse(text).unwrap_err();
            assert!(wrong.contains(word), "{text}: {wrong}");
        }
    }
}
