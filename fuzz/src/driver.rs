//! Runs a target on mutated samples without help from the compiler, and keeps what fails.

use crate::{
    mutate::{Random, mutate},
    targets::Target,
};
use std::{
    collections::HashSet,
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Inputs that are kept for further mutation; beyond, a new one takes the place of a random one.
const CORPUS_MAX: usize = 4_096;

/// An input that takes longer than this has found something that does not scale.
const RUN_MAX: Duration = Duration::from_secs(2);

/// What a run of a target came to.
#[derive(Debug)]
pub struct Report {
    /// Inputs tried.
    pub runs: u64,
    /// Ways of ending that were seen.
    pub endings: usize,
    /// The time all of it took.
    pub elapsed: Duration,
}

/// An input that a target does not survive.
#[derive(Debug)]
pub struct Failure {
    /// What happened.
    pub reason: String,
    /// Where the input was written.
    pub file: PathBuf,
}

/// Tries every sample and stored input, then `runs` mutations of them.
pub fn run(target: &Target, runs: u64, seed: u64) -> Result<Report, Failure> {
    let begun = Instant::now();
    let mut random = Random(seed);
    let mut corpus = stored(target.name);
    corpus.extend((target.samples)());
    let mut endings = HashSet::new();
    for input in &corpus {
        endings.insert(try_one(target, input)?);
    }
    for _ in 0..runs {
        let mut input = corpus[random.below(corpus.len())].clone();
        mutate(&mut input, &corpus[random.below(corpus.len())], &mut random);
        if endings.insert(try_one(target, &input)?) {
            keep(&mut corpus, input, &mut random);
        }
    }
    Ok(Report {
        runs,
        endings: endings.len(),
        elapsed: begun.elapsed(),
    })
}

fn keep(corpus: &mut Vec<Vec<u8>>, input: Vec<u8>, random: &mut Random) {
    if corpus.len() < CORPUS_MAX {
        corpus.push(input);
    } else {
        let at = random.below(corpus.len());
        corpus[at] = input;
    }
}

fn try_one(target: &Target, input: &[u8]) -> Result<u64, Failure> {
    let begun = Instant::now();
    let ending = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    let took = begun.elapsed();
    match ending {
        Ok(ending) if took < RUN_MAX => Ok(ending),
        Ok(_) => Err(save(target.name, input, format!("it took {took:?}"))),
        Err(_) => Err(save(target.name, input, "it panicked".to_owned())),
    }
}

/// The inputs in `corpus/<target>/`, in the order of their names.
fn stored(name: &str) -> Vec<Vec<u8>> {
    let Ok(entries) = fs::read_dir(home().join("corpus").join(name)) else {
        return Vec::new();
    };
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    paths.iter().filter_map(|path| fs::read(path).ok()).collect()
}

fn save(name: &str, input: &[u8], reason: String) -> Failure {
    let directory = home().join("failures");
    let sum = crc32c::crc32c(input);
    let file = directory.join(format!("{name}-{sum:08x}"));
    let written = fs::create_dir_all(&directory).and_then(|()| fs::write(&file, input));
    match written {
        Ok(()) => Failure { reason, file },
        Err(error) => Failure {
            reason: format!("{reason} on {input:02x?}, which could not be written ({error})"),
            file,
        },
    }
}

fn home() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails on inputs with `!` in them.
    const SHY: Target = Target {
        name: "shy",
        run: |input| {
            assert!(!input.contains(&b'!'));
            input.len() as u64
        },
        samples: || vec![b"hello".to_vec()],
    };

    #[test]
    fn a_panic_is_found_and_its_input_kept() {
        assert!(run(&SHY, 10, 1).is_ok());
        let failure = run(&SHY, 100_000, 1).expect_err("some mutation writes the byte");
        let input = fs::read(&failure.file).expect("the input is kept");
        assert!(input.contains(&b'!'));
        fs::remove_file(&failure.file).expect("it is there");
    }
}
