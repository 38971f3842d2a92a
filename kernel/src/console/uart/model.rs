//! Which UARTs there are drivers for, by the names that device trees give them.

use super::{Order, RegisterAccess, RegisterWidth};

/// A kind of UART with registers in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UartModel {
    /// Arm's PL011, or the SBSA's generic UART, which is the part of it that a console needs.
    Pl011,
    /// A 16550 and alike.
    Ns16550(Flavour),
    /// Cadence's.
    Cadence,
    /// That of i.MX.
    Imx,
    /// Freescale's low-power UART with registers of 8 bits.
    Lpuart8,
    /// The same with registers of 32 bits.
    Lpuart32,
    /// Amlogic's.
    Meson,
}

/// In what a 16550 differs from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// In nothing that a console would notice.
    Plain,
    /// Synopsys' DesignWare APB UART.
    DesignWare,
    /// NVIDIA's.
    Tegra,
    /// Broadcom's mini UART.
    Mini,
}

impl UartModel {
    /// The model that `compatible` names, and how its registers are accessed if the node says nothing else. The names are
    /// those of Linux's Documentation/devicetree/bindings/serial.
    pub fn of(compatible: &[u8]) -> Option<(Self, RegisterAccess)> {
        const WORDS: RegisterAccess =
            RegisterAccess { width: RegisterWidth::Word, order: Order::Little, offset: 0, shift: 0 };
        const BYTES: RegisterAccess = RegisterAccess { width: RegisterWidth::Byte, ..WORDS };
        const SPREAD: RegisterAccess = RegisterAccess { shift: 2, ..WORDS };
        Some(match str::from_utf8(compatible).ok()? {
            "arm,pl011" | "arm,sbsa-uart" => (Self::Pl011, WORDS),
            "ns16550a" | "ns16550" | "ns16450" | "ns8250" => (Self::Ns16550(Flavour::Plain), BYTES),
            "snps,dw-apb-uart" => (Self::Ns16550(Flavour::DesignWare), BYTES),
            "nvidia,tegra20-uart" => (Self::Ns16550(Flavour::Tegra), SPREAD),
            "ti,am654-uart" => (Self::Ns16550(Flavour::Plain), SPREAD),
            "brcm,bcm2835-aux-uart" => (Self::Ns16550(Flavour::Mini), SPREAD),
            "cdns,uart-r1p12" | "cdns,uart-r1p8" | "xlnx,xuartps" => (Self::Cadence, WORDS),
            "fsl,imx21-uart" | "fsl,imx53-uart" | "fsl,imx6q-uart" => (Self::Imx, WORDS),
            "fsl,vf610-lpuart" => (Self::Lpuart8, BYTES),
            "fsl,ls1021a-lpuart" => (Self::Lpuart32, RegisterAccess { order: Order::Big, ..WORDS }),
            "fsl,ls1028a-lpuart" => (Self::Lpuart32, WORDS),
            // Four registers that say what the device is come first.
            "fsl,imx7ulp-lpuart" | "fsl,imx8ulp-lpuart" | "fsl,imx8qxp-lpuart" => {
                (Self::Lpuart32, RegisterAccess { offset: 0x10, ..WORDS })
            }
            "amlogic,meson-uart" | "amlogic,meson-gx-uart" | "amlogic,meson-s4-uart" => (Self::Meson, WORDS),
            _ => return None,
        })
    }

    /// The last register that the driver uses.
    pub const fn last_register(self) -> usize {
        match self {
            Self::Pl011 => 0x38,
            Self::Ns16550(Flavour::DesignWare) => 31,
            Self::Ns16550(_) => 5,
            Self::Cadence => 0x30,
            Self::Imx => 0xb4,
            Self::Lpuart8 => 0x15,
            Self::Lpuart32 => 0x1c,
            Self::Meson => 0x10,
        }
    }
}
