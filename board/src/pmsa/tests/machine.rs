//! A CPU that runs a few instructions on an emulated MPU: it walks the tables, keeps what it found in a TLB, takes
//! exceptions and steps, as a CPU of QEMU would.

use crate::pmsa::cpu::{Cpu, SCTLR_M, Use};
use crate::pmsa::emulator::Emulator;
use crate::pmsa::exception::{Exception, Handled, SPSR_D, SPSR_SS};
use crate::pmsa::options::Options;
use std::boxed::Box;
use std::collections::HashMap;
use std::ops::Range;
use std::vec::Vec;

/// The page that the program is in.
pub const CODE: Range<u64> = 0xf000_0000..0xf000_1000;
/// Few tables, so that they run out: the image and one other place fill them.
const TABLES: usize = 8;
/// More exceptions than any instruction needs.
const PATIENCE: usize = 16;

/// An instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Nop,
    Isb,
    Dsb,
    /// MSR of this system register, encoded as CRn, CRm, op2.
    Msr((u32, u32, u32), u64),
    Load(u64),
    Store(u64),
    /// A load-exclusive.
    Exclusive(u64),
    /// ERET to the next instruction.
    Return,
    /// A call of one instruction there.
    Call(u64),
}

impl Op {
    fn word(self) -> u32 {
        match self {
            Self::Nop | Self::Call(_) => 0xd503_201f,
            Self::Isb => 0xd503_3fdf,
            Self::Dsb => 0xd503_3f9f,
            Self::Return => 0xd69f_03e0,
            Self::Msr((crn, crm, op2), _) => 0xd51c_0000 | crn << 12 | crm << 8 | op2 << 5,
            Self::Load(_) => 0xb940_0020,
            Self::Store(_) => 0xb900_0020,
            Self::Exclusive(_) => 0x885f_7c20,
        }
    }
}

/// What became of an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// An exception that the emulation passed on.
    Taken {
        esr: u64,
        far: u64,
    },
    Stuck(u64),
}

pub struct FakeCpu {
    pub sctlr: u64,
    pub mair: u64,
    /// A lifeline beside the code.
    pub data: (u64, Use),
    stepping: bool,
    program: Vec<u32>,
    tlb: HashMap<u64, u64>,
}

impl Cpu for FakeCpu {
    fn sctlr(&self) -> u64 {
        self.sctlr
    }

    fn mair(&self) -> u64 {
        self.mair
    }

    fn instruction(&self, address: u64) -> u32 {
        let index = (address.wrapping_sub(CODE.start) / 4) as usize;
        self.program.get(index).copied().unwrap_or(Op::Nop.word())
    }

    fn publish(&mut self) {}

    fn invalidate(&mut self) {
        self.tlb.clear();
    }

    fn start_stepping(&mut self) {
        assert!(!std::mem::replace(&mut self.stepping, true));
    }

    fn stop_stepping(&mut self) {
        assert!(std::mem::replace(&mut self.stepping, false));
    }

    fn lifelines(&self) -> [(u64, Use); 6] {
        [(CODE.start, Use::Execute), (CODE.start, Use::Read), self.data, self.data, self.data, self.data]
    }
}

pub struct Machine {
    pub mpu: Box<Emulator<TABLES>>,
    pub cpu: FakeCpu,
    pub exceptions: usize,
    x: [u64; 31],
    pstate: u64,
}

impl Machine {
    /// The MPU is on, and has region 0 for the program, which all the others leave alone.
    pub fn new(options: Options, image: Range<u64>) -> Self {
        let cpu = FakeCpu {
            sctlr: 0,
            mair: 0x04_44_ff,
            data: (CODE.start, Use::Execute),
            stepping: false,
            program: Vec::new(),
            tlb: HashMap::new(),
        };
        let mpu = Box::new(Emulator::new());
        let mut machine = Self { mpu, cpu, exceptions: 0, x: [0; 31], pstate: 0x3c9 };
        machine.mpu.reset(options, image, &mut machine.cpu).expect("enough tables");
        assert_eq!(machine.mpu.root() % 0x1000, 0);
        for region in 0..255 {
            machine.run(&[select(region), Op::Isb, prlar(0)]);
        }
        machine.run(&[
            select(0),
            Op::Isb,
            prbar(CODE.start | 0b11_1000),
            prlar((CODE.end - 0x40) | 1),
            Op::Dsb,
            Op::Isb,
        ]);
        machine.cpu.sctlr = SCTLR_M;
        machine
    }

    pub fn run(&mut self, program: &[Op]) -> Vec<Outcome> {
        self.cpu.program = program.iter().map(|op| op.word()).collect();
        program.iter().enumerate().map(|(index, op)| self.execute(*op, CODE.start + 4 * index as u64)).collect()
    }

    /// The outcome of one instruction.
    pub fn one(&mut self, op: Op) -> Outcome {
        self.run(&[op])[0]
    }

    fn execute(&mut self, op: Op, at: u64) -> Outcome {
        for _ in 0..PATIENCE {
            let elr = if let Op::Call(target) = op { target } else { at };
            let fault = match op {
                Op::Nop | Op::Isb | Op::Dsb | Op::Return => None,
                Op::Msr(_, value) => {
                    self.x[0] = value;
                    Some((0x0200_0000, 0))
                }
                Op::Load(address) | Op::Exclusive(address) => self.access(address, 0x9600_0000, |_| false),
                Op::Store(address) => self.access(address, 0x9600_0040, |entry| entry & 1 << 7 != 0),
                Op::Call(address) => self.access(address, 0x8600_0000, |entry| entry & 1 << 54 != 0),
            };
            let Some((esr, far)) = fault else {
                assert!(op != Op::Return || !self.cpu.stepping, "an exception return cannot be stepped over");
                let is_stepped = self.cpu.stepping && self.pstate & (SPSR_SS | SPSR_D) == SPSR_SS;
                return if is_stepped { self.exception(at + 4, 0xce00_0022, 0).1 } else { Outcome::Done };
            };
            match self.exception(elr, esr, far) {
                (next, Outcome::Done) if next == elr => {}
                (_, outcome) => return outcome,
            }
        }
        panic!("{op:?} never ends");
    }

    /// What an access faults with; `forbids` says whether a leaf allows it not.
    fn access(&mut self, address: u64, esr: u64, forbids: fn(u64) -> bool) -> Option<(u64, u64)> {
        if self.cpu.sctlr & SCTLR_M == 0 {
            return None;
        }
        let page = address >> 12;
        let known = self.cpu.tlb.get(&page).copied().or_else(|| Some(self.mpu.mirror().walk(address)?.0));
        match known {
            None => Some((esr | 0b00_0110, address)),
            Some(entry) => {
                self.cpu.tlb.insert(page, entry);
                forbids(entry).then_some((esr | 0b00_1111, address))
            }
        }
    }

    /// Takes an exception and returns from it; also where to.
    fn exception(&mut self, mut elr: u64, mut esr: u64, far: u64) -> (u64, Outcome) {
        self.exceptions += 1;
        let (x, spsr) = (&mut self.x, &mut self.pstate);
        let handled = self.mpu.handle(&mut self.cpu, Exception { x, elr: &mut elr, esr: &mut esr, spsr, far });
        assert_eq!(self.cpu.stepping, self.pstate & SPSR_SS != 0, "to step, both are needed");
        assert_eq!(self.pstate & !(SPSR_SS | SPSR_D), 0x1c9, "the rest of SPSR_EL2 is not the emulation's");
        assert!(self.cpu.stepping || self.pstate == 0x3c9, "debug exceptions are masked again");
        match handled {
            Handled::Yes => (elr, Outcome::Done),
            Handled::No => (elr, Outcome::Taken { esr, far }),
            Handled::Stuck(address) => (elr, Outcome::Stuck(address)),
        }
    }
}

pub fn select(region: u64) -> Op {
    Op::Msr((6, 2, 1), region)
}

pub fn prbar(value: u64) -> Op {
    Op::Msr((6, 8, 0), value)
}

pub fn prlar(value: u64) -> Op {
    Op::Msr((6, 8, 1), value)
}

pub fn prenr(value: u64) -> Op {
    Op::Msr((6, 1, 1), value)
}

/// Programs a region, with the barriers that it takes.
pub fn region(index: u64, span: Range<u64>, access: u64, type_and_enable: u64) -> [Op; 6] {
    let limit = prlar((span.end - 0x40) | type_and_enable);
    [select(index), Op::Isb, prbar(span.start | access), limit, Op::Dsb, Op::Isb]
}
