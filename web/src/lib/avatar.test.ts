import { expect, it } from 'vitest';
import { colour } from './avatar';

/** The contrast of white with an HSL colour (WCAG 2). */
function contrast(text: string): number {
  const [hue, saturation, lightness] = [...text.matchAll(/\d+/g)].map(Number) as [number, number, number];
  const light = lightness / 100;
  const reach = (saturation / 100) * Math.min(light, 1 - light);
  const [red, green, blue] = [0, 8, 4].map((offset) => {
    const k = (offset + hue / 30) % 12;
    const value = light - reach * Math.max(-1, Math.min(k - 3, 9 - k, 1));
    return value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05);
}

it('lets white letters be read whatever hue an identity gets', () => {
  expect(contrast('hsl(60 42% 36%)')).toBeCloseTo(4.02, 2);
  for (let hue = 0; hue < 360; hue++) expect(contrast(colour(hue)), `hue ${String(hue)}`).toBeGreaterThanOrEqual(4.5);
});
