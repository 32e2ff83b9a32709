//! What a power device loses at a load, and the load an input carries.
//!
//! ```text
//! p_in = p_out + S·(a0 + a1·x + a2·x²),   x = p_out/S
//! ```
//!
//! S is the rating, a0 what the device draws without load (magnetising current, control, fans), a1 what
//! grows with the current (switching, diodes), a2 what grows with its square (copper).

use super::parameter::{BadParameter, not_negative, positive};

/// Loss coefficients, as shares of the rating.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LossShares {
    /// Without load.
    pub a0: f64,
    /// In proportion to the load.
    pub a1: f64,
    /// In proportion to the load squared.
    pub a2: f64,
}

/// Kinds of power device with loss coefficients of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceKind {
    /// The connection to the grid, where the meter is: no losses of its own.
    Utility,
    /// Medium to low voltage.
    Transformer,
    /// Uninterruptible supply that rectifies and inverts all the time.
    UpsDoubleConversion,
    /// Uninterruptible supply that passes the grid through and stands by.
    UpsEco,
    /// Distribution unit or busway.
    Pdu,
    /// Feed of the cooling plant: a wire. Motor and drive losses are in the plant's own watts.
    MechanicalBus,
    /// No losses: its fuel is not part of the account.
    Generator,
}

impl DeviceKind {
    /// Coefficients where the user gives none. Quality: guess, of the shape of data-sheet efficiency curves
    /// (transformer 99.0 %, double conversion 95.7 %, eco 99.0 %, PDU 99.1 % at full load).
    pub fn default_loss(self) -> LossShares {
        let (a0, a1, a2) = match self {
            Self::Utility | Self::MechanicalBus | Self::Generator => (0.0, 0.0, 0.0),
            Self::Transformer => (0.002, 0.0, 0.008),
            Self::UpsDoubleConversion => (0.010, 0.020, 0.015),
            Self::UpsEco => (0.003, 0.005, 0.002),
            Self::Pdu => (0.001, 0.0, 0.008),
        };
        LossShares { a0, a1, a2 }
    }
}

/// A device of given rating and losses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LossStage {
    rated_w: f64,
    shares: LossShares,
}

impl LossStage {
    /// A stage of rating `rated_w` > 0 [W]; the shares must not be negative.
    pub fn new(rated_w: f64, shares: LossShares) -> Result<Self, BadParameter> {
        positive("rated_w", rated_w)?;
        not_negative("a0", shares.a0)?;
        not_negative("a1", shares.a1)?;
        not_negative("a2", shares.a2)?;
        Ok(Self { rated_w, shares })
    }

    /// Whether it loses nothing at any load.
    #[inline]
    pub fn is_lossless(&self) -> bool {
        self.shares == LossShares { a0: 0.0, a1: 0.0, a2: 0.0 }
    }

    /// Rating S of the output [W].
    pub fn rated_w(&self) -> f64 {
        self.rated_w
    }

    /// The most by which the input rises per watt of output, up to the rating.
    pub fn steepest(&self) -> f64 {
        1.0 + self.shares.a1 + 2.0 * self.shares.a2
    }

    /// Loss at an output [W]; never falls as the output rises, and is that at 0 for an output below 0.
    #[inline]
    pub fn loss_w(&self, out_w: f64) -> f64 {
        let LossShares { a0, a1, a2 } = self.shares;
        let x = (out_w / self.rated_w).max(0.0);
        self.rated_w * (a0 + x * (a1 + x * a2))
    }

    /// Input at an output [W].
    pub fn input_w(&self, out_w: f64) -> f64 {
        out_w + self.loss_w(out_w)
    }

    /// Output at an input [W]; 0 if the input does not even cover the loss without load.
    pub fn output_w(&self, in_w: f64) -> f64 {
        let LossShares { a0, a1, a2 } = self.shares;
        let z = in_w / self.rated_w - a0;
        if z.is_nan() || z <= 0.0 {
            return 0.0;
        }
        // The root of a2·x² + (1 + a1)·x − z in the form that has no difference of near equals.
        let b = 1.0 + a1;
        self.rated_w * (2.0 * z / (b + (b * b + 4.0 * a2 * z).sqrt()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [DeviceKind; 6] = [
        DeviceKind::Utility,
        DeviceKind::Transformer,
        DeviceKind::UpsDoubleConversion,
        DeviceKind::UpsEco,
        DeviceKind::Pdu,
        DeviceKind::MechanicalBus,
    ];

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-9 * a.abs().max(b.abs())
    }

    #[test]
    fn input_and_output_are_inverse_from_nothing_to_far_above_the_rating() {
        for kind in KINDS {
            for rated in [1e3, 2.7e5, 1e8] {
                let stage = LossStage::new(rated, kind.default_loss()).unwrap();
                assert_eq!(stage.output_w(stage.input_w(0.0)), 0.0);
                let mut last = stage.input_w(0.0);
                for step in -60..=20 {
                    let out = rated * 10f64.powf(f64::from(step) / 10.0);
                    let input = stage.input_w(out);
                    assert!(input > last && input >= out, "{kind:?} {out}");
                    assert!(close(stage.output_w(input), out), "{kind:?} {out} {}", stage.output_w(input));
                    assert!(close(stage.input_w(stage.output_w(input)), input));
                    last = input;
                }
            }
        }
    }

    /// 0.27 MW double conversion at 0.18 MW: x = 2/3, loss = 0.27e6 · (0.010 + 0.020·2/3 + 0.015·4/9) = 8,100 W.
    #[test]
    fn loss_by_hand() {
        let ups = LossStage::new(0.27e6, DeviceKind::UpsDoubleConversion.default_loss()).unwrap();
        assert!((ups.loss_w(0.18e6) - 8100.0).abs() < 1e-6);
        assert!((ups.loss_w(0.0) - 2700.0).abs() < 1e-9);
        assert_eq!(ups.output_w(2000.0), 0.0, "less than the loss without load");
        assert_eq!(ups.output_w(f64::NAN), 0.0);
    }

    #[test]
    fn bad_coefficients_are_named() {
        let fine = DeviceKind::Pdu.default_loss();
        assert_eq!(LossStage::new(0.0, fine).unwrap_err().name, "rated_w");
        assert!(LossStage::new(f64::NAN, fine).is_err());
        let wrong = LossStage::new(1.0, LossShares { a2: -0.1, ..fine }).unwrap_err();
        assert_eq!(wrong.to_string(), "a2 must be 0 or above, not -0.1");
    }
}
