// WCAG 2.2, "contrast ratio" and "relative luminance". Runs inside the page.

/** The contrast of an element's text with what is painted behind it, 1 to 21. */
export function contrastOf(element) {
  const channels = (color) => color.match(/[\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => {
    const linear = (value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    };
    return 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  };
  const isPainted = ([, , , alpha = 1]) => alpha > 0;

  const text = channels(getComputedStyle(element).color);
  let behind = element;
  let background = channels(getComputedStyle(behind).backgroundColor);
  while (!isPainted(background) && behind.parentElement) {
    behind = behind.parentElement;
    background = channels(getComputedStyle(behind).backgroundColor);
  }
  const [darker, lighter] = [luminance(text), luminance(background)].sort((a, b) => a - b);
  return (lighter + 0.05) / (darker + 0.05);
}
