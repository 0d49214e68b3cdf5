//! AMX: tiles of 32 × 32 sums in four of the eight tile registers, in assembly: the intrinsics are unstable.
//!
//! A tile register has 16 rows of 64 bytes. `tdpbf16ps` and `tdpbusd` multiply 16 rows of 16 units, pairs of bfloat16 or fours of
//! bytes, with 16 units of 16 columns. Packed rows and panels of [`dots`](super::dots) are just that. Two registers of rows
//! and two of columns make four products for four loads.
//!
//! A lane sets the registers up for whole tiles when it enters a pass, and gives them back when it leaves. A tile of fewer
//! rows sets them up for itself and for whole ones again.
//!
//! Source: Intel SDM vol. 1 ch. 18, vol. 2 (LDTILECFG, TILELOADD, TDPBF16PS, TDPBUSD).

use core::arch::asm;
use core::mem::offset_of;

use super::bf16;
use super::int8::{self, QUAD};
use super::kernel::{LINE, Pass, TileArgs, WeightKernel};
use crate::simd::Level;

/// Rows of a tile register.
const ROWS: usize = 16;
/// Rows and columns of a tile.
const SIDE: usize = 2 * ROWS;
/// Units of the depth in a step.
const UNITS: usize = 16;
/// Bytes of a unit.
const UNIT: usize = 4;

/// What `ldtilecfg` reads.
#[repr(C, align(64))]
struct Config {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

impl Config {
    /// Registers 0 to 3 are sums, 4 and 5 rows, 6 and 7 columns; those for rows beyond `rows` do not exist.
    const fn new(rows: usize) -> Self {
        let mut config =
            Self { palette: 1, start_row: 0, reserved: [0; 14], row_bytes: [0; 16], rows: [0; 16] };
        let upper = if rows < ROWS { rows } else { ROWS };
        let heights = [upper, upper, rows - upper, rows - upper, upper, rows - upper, ROWS, ROWS];
        let mut i = 0;
        while i < heights.len() {
            config.rows[i] = heights[i] as u8;
            config.row_bytes[i] = if heights[i] > 0 { LINE as u16 } else { 0 };
            i += 1;
        }
        config
    }

    /// For any number of rows of a tile, which is at least 1.
    const ALL: [Self; SIDE] = {
        let mut all = [const { Self::new(1) }; SIDE];
        let mut i = 0;
        while i < SIDE {
            all[i] = Self::new(i + 1);
            i += 1;
        }
        all
    };
}

static CONFIGS: [Config; SIDE] = Config::ALL;

/// What the assembly is given: where operands begin, and how far apart rows are, in bytes.
#[repr(C)]
struct Operands {
    init: *const f32,
    init_stride: usize,
    c: *mut f32,
    c_stride: usize,
    a: *const u8,
    /// Bytes from a step of the depth to the next.
    a_step: usize,
    b: *const u8,
    steps: usize,
    ahead: *const u8,
    lines_per_step: usize,
}

/// The assembly of a tile. The last three are what tiles of more than 16 rows have more: loads of their start values, with
/// `ptr` at the first row and `stride` between rows, products of a step, and stores.
macro_rules! assembly {
    ($operands:expr, $dot:literal, $more_init:expr, $more_products:expr, $more_stores:expr) => {
        asm!(
            "mov {ptr}, [{operands} + {init}]",
            "mov {stride}, [{operands} + {init_stride}]",
            "tileloadd tmm0, [{ptr} + {stride} * 1]",
            "tileloadd tmm1, [{ptr} + {stride} * 1 + 64]",
            $more_init,
            "mov {a}, [{operands} + {a_offset}]",
            "mov {b}, [{operands} + {b_offset}]",
            "mov {steps}, [{operands} + {steps_offset}]",
            "mov {ahead}, [{operands} + {ahead_offset}]",
            "mov {ptr}, 64",
            "mov {stride}, 128",
            "2:",
            "tileloadd tmm6, [{b} + {stride} * 1]",
            "tileloadd tmm4, [{a} + {ptr} * 1]",
            "tileloadd tmm7, [{b} + {stride} * 1 + 64]",
            concat!($dot, " tmm0, tmm4, tmm6"),
            concat!($dot, " tmm1, tmm4, tmm7"),
            $more_products,
            "mov {lines}, [{operands} + {lines_offset}]",
            "test {lines}, {lines}",
            "jz 4f",
            "3:",
            "prefetcht1 [{ahead}]",
            "add {ahead}, 64",
            "dec {lines}",
            "jnz 3b",
            "4:",
            "add {a}, [{operands} + {a_step}]",
            "add {b}, 2048",
            "dec {steps}",
            "jnz 2b",
            "mov {ptr}, [{operands} + {c}]",
            "mov {stride}, [{operands} + {c_stride}]",
            "tilestored [{ptr} + {stride} * 1], tmm0",
            "tilestored [{ptr} + {stride} * 1 + 64], tmm1",
            $more_stores,
            operands = in(reg) $operands,
            init = const offset_of!(Operands, init),
            init_stride = const offset_of!(Operands, init_stride),
            c = const offset_of!(Operands, c),
            c_stride = const offset_of!(Operands, c_stride),
            a_offset = const offset_of!(Operands, a),
            a_step = const offset_of!(Operands, a_step),
            b_offset = const offset_of!(Operands, b),
            steps_offset = const offset_of!(Operands, steps),
            ahead_offset = const offset_of!(Operands, ahead),
            lines_offset = const offset_of!(Operands, lines_per_step),
            ptr = out(reg) _,
            stride = out(reg) _,
            a = out(reg) _,
            b = out(reg) _,
            steps = out(reg) _,
            ahead = out(reg) _,
            lines = out(reg) _,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        )
    };
}

/// Computes a tile with an instruction.
macro_rules! tile {
    ($operands:expr, $dot:literal, $is_high:expr) => {
        if $is_high {
            assembly!(
                $operands,
                $dot,
                // Sixteen rows further.
                "shl {stride}, 4
                 add {ptr}, {stride}
                 shr {stride}, 4
                 tileloadd tmm2, [{ptr} + {stride} * 1]
                 tileloadd tmm3, [{ptr} + {stride} * 1 + 64]",
                concat!(
                    "tileloadd tmm5, [{a} + {ptr} * 1 + 1024]\n",
                    $dot,
                    " tmm2, tmm5, tmm6\n",
                    $dot,
                    " tmm3, tmm5, tmm7"
                ),
                "shl {stride}, 4
                 add {ptr}, {stride}
                 shr {stride}, 4
                 tilestored [{ptr} + {stride} * 1], tmm2
                 tilestored [{ptr} + {stride} * 1 + 64], tmm3"
            )
        } else {
            assembly!($operands, $dot, "", "", "")
        }
    };
}

/// Sets the registers up for tiles of so many rows, and clears them.
///
/// # Safety
/// The CPU has AMX, the process the permission to use it, and none of the registers is in use.
unsafe fn configure(rows: usize) {
    // SAFETY: the caller promises the instruction; it reads one configuration.
    unsafe {
        asm!(
            "ldtilecfg [{config}]",
            config = in(reg) &CONFIGS[rows - 1],
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack, readonly, preserves_flags),
        );
    }
}

/// What a lane does around its tiles.
static PASS: Pass = Pass {
    // SAFETY: forwarded to the caller.
    enter: || unsafe { configure(SIDE) },
    // SAFETY: the caller promises the instruction.
    leave: || unsafe { asm!("tilerelease", options(nostack, nomem, preserves_flags)) },
};

/// Which instruction.
#[derive(Clone, Copy)]
enum Dot {
    Bf16,
    Bytes,
}

/// # Safety
/// As [`WeightKernel::run`]; and the CPU has the instruction, and the process the permission to use it.
unsafe fn run(dot: Dot, rows: usize, args: TileArgs<u8>) {
    let TileArgs { k, a, b, init, init_stride, c, ldc, accumulate, ahead } = args;
    let step = match dot {
        Dot::Bf16 => UNITS * 2,
        Dot::Bytes => UNITS * 4,
    };
    // A register cannot be added to memory.
    let mut sums = [0.0; SIDE * SIDE];
    let (to, to_stride) = if accumulate { (sums.as_mut_ptr(), SIDE) } else { (c, ldc) };
    let operands = Operands {
        init,
        init_stride: init_stride * size_of::<f32>(),
        c: to,
        c_stride: to_stride * size_of::<f32>(),
        a,
        a_step: rows * LINE,
        b,
        steps: k.div_ceil(step),
        ahead: ahead.first,
        lines_per_step: ahead.lines_per_chunk,
    };
    let is_high = rows > ROWS;
    // SAFETY: the caller promises the operands, whole steps of them, the instruction, and that it is inside a pass.
    unsafe {
        if rows < SIDE {
            configure(rows);
        }
        match dot {
            Dot::Bf16 => tile!(&operands, "tdpbf16ps", is_high),
            Dot::Bytes => tile!(&operands, "tdpbusd", is_high),
        }
        if rows < SIDE {
            configure(SIDE);
        }
    }
    if accumulate {
        for (row, sums) in sums.chunks_exact(SIDE).take(rows).enumerate() {
            for (column, sum) in sums.iter().enumerate() {
                // SAFETY: the caller promises the output.
                unsafe { *c.add(row * ldc + column) += sum };
            }
        }
    }
}

pub(super) static BF16: WeightKernel = WeightKernel {
    pass: Some(&PASS),
    // SAFETY: forwarded to the caller.
    ..bf16::kernel("bf16-amx-32x32", SIDE, SIDE, |_: Level, rows, args| unsafe { run(Dot::Bf16, rows, args) })
};
/// A step reads whole units of 64 bytes.
pub(super) static INT8: WeightKernel = WeightKernel {
    k_unit: UNITS * UNIT,
    unit_bytes: UNITS * UNIT * SIDE,
    pass: Some(&PASS),
    // SAFETY: forwarded to the caller.
    ..int8::kernel_of::<u8, QUAD>("int8-amx-32x32", SIDE, SIDE, |_, rows, args| unsafe {
        run(Dot::Bytes, rows, args)
    })
};
