//! Plays one scene in a function of its own, so that a profiler can count what it takes.
//!
//! `guard` alone checks every scene; `guard list` names them with their commands and octets;
//! `guard SCENE COUNT` plays one so many times inside [`measured`].

#![allow(clippy::print_stdout, reason = "its output is what it is for")]
#![allow(missing_docs, unreachable_pub, reason = "a program")]

#[path = "../scenes/mod.rs"]
mod scenes;

use std::hint::black_box;
use std::process::ExitCode;

use scenes::{Read, Rig, Scene};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Scene::all().iter().for_each(Scene::check),
        ["list"] => {
            for scene in Scene::all() {
                println!("{} {} {}", scene.name, scene.commands, scene.octets());
            }
        }
        [name, count] => {
            let scene = Scene::all().into_iter().find(|scene| scene.name == name);
            let (Some(scene), Ok(count)) = (scene, count.parse()) else { return ExitCode::from(2) };
            play(&scene, count);
        }
        _ => return ExitCode::from(2),
    }
    ExitCode::SUCCESS
}

/// Plays it once to warm up, then `count` times where it is counted.
fn play(scene: &Scene, count: usize) {
    let mut rig = scene.start();
    black_box(rig.play(scene.reads()));
    let mut rigs = vec![rig];
    if scene.fresh {
        rigs = (0..count).map(|_| scene.start()).collect();
    }
    let takes = (0..count).map(|_| scene.reads()).collect();
    measured(&mut rigs, takes);
}

/// The profiler counts what is done in here.
#[inline(never)]
fn measured(rigs: &mut [Rig], takes: Vec<Vec<Read>>) {
    let last = rigs.len().saturating_sub(1);
    for (number, reads) in takes.into_iter().enumerate() {
        if let Some(rig) = rigs.get_mut(number.min(last)) {
            black_box(rig.play(reads));
        }
    }
}
