//! How a cost grows: the exponent of a power of the number.

/// The exponent `b` of the power law `y = a * x^b` that is nearest to these points on logarithmic scales (least squares),
/// over the last factor of ten: before it, what is paid once hides what is paid for each.
pub(super) fn exponent(points: &[(f64, f64)]) -> Option<f64> {
    let largest = points.iter().map(|point| point.0).fold(0.0, f64::max);
    let last: Vec<(f64, f64)> =
        points.iter().filter(|point| point.0 >= largest / 10.0).map(|(x, y)| (x.ln(), y.ln())).collect();
    let n = f64::from(u32::try_from(last.len()).ok()?);
    let mean = |of: fn(&(f64, f64)) -> f64| last.iter().map(of).sum::<f64>() / n;
    let (mean_x, mean_y) = (mean(|point| point.0), mean(|point| point.1));
    let covariance: f64 = last.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    let variance: f64 = last.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    (variance > 0.0).then(|| covariance / variance)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fitted(law: fn(f64) -> f64) -> f64 {
        let points: Vec<(f64, f64)> = [1.0, 10.0, 50.0, 100.0, 500.0].map(|x| (x, law(x))).to_vec();
        exponent(&points).expect("points enough")
    }

    #[test]
    fn an_exponent_is_that_of_the_law() {
        assert!(fitted(|_| 7.0).abs() < 1e-9, "flat");
        assert!((fitted(|x| 3.0 * x) - 1.0).abs() < 1e-9, "linear");
        assert!((fitted(|x| x * x) - 2.0).abs() < 1e-9, "quadratic");
    }

    #[test]
    fn what_is_paid_once_does_not_hide_what_is_paid_for_each() {
        assert!((fitted(|x| if x < 50.0 { 1000.0 } else { x * x }) - 2.0).abs() < 1e-9);
    }

    #[test]
    fn one_point_has_no_exponent() {
        assert_eq!(exponent(&[(5.0, 1.0)]), None);
        assert_eq!(exponent(&[]), None);
    }
}
