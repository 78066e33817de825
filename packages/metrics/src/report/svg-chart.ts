// A line chart as SVG text: axes with round ticks, a legend with last values, smoothed lines over faint raw ones. Pure;
// knows points, not metrics.
import { escapeHtml } from './escape-html.js';

export type Point = readonly [x: number, y: number];

export interface ChartSeries {
  readonly name: string;
  readonly color: string;
  readonly points: readonly Point[];
  /** Drawn faint behind the line: the values before smoothing. */
  readonly raw?: readonly Point[];
}

export interface ChartSpec {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly series: readonly ChartSeries[];
  /** Dashed horizontal lines with a label, such as chance. */
  readonly guides?: readonly { readonly y: number; readonly label: string }[];
  /** Makes the y axis begin here. */
  readonly yFrom?: number;
  /** Single measurements get a dot each. */
  readonly dots?: boolean;
}

const WIDTH = 470;
const HEIGHT = 270;
const PLOT = { left: 58, right: WIDTH - 16, top: 54, bottom: HEIGHT - 42 };
/** Below this many points every one is marked. */
const FEW_POINTS = 30;

interface Axis {
  readonly from: number;
  readonly to: number;
  readonly ticks: readonly number[];
}

/** @returns an `<svg>` element, 470 x 270 units, that scales with its container; finite points only are drawn */
export function lineChart(spec: ChartSpec): string {
  const series = spec.series.map((one) => ({ ...one, points: finite(one.points), raw: finite(one.raw ?? []) }));
  const xs = series.flatMap(({ points }) => points.map(([x]) => x));
  const x = niceAxis(Math.min(0, ...xs), Math.max(1, ...xs), 6, true);
  const y = yAxis(spec, series);
  const toX = (value: number) => PLOT.left + ((value - x.from) / (x.to - x.from)) * (PLOT.right - PLOT.left);
  const toY = (value: number) => PLOT.bottom - ((value - y.from) / (y.to - y.from)) * (PLOT.bottom - PLOT.top);
  const path = (points: readonly Point[]) =>
    points.map(([px, py], i) => `${i === 0 ? 'M' : 'L'}${toX(px).toFixed(1)} ${toY(py).toFixed(1)}`).join('');
  const clip = `clip-${spec.title.replace(/[^A-Za-z0-9]/g, '')}`;
  return [
    `<svg class="chart" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escapeHtml(spec.title)}">`,
    `<clipPath id="${clip}"><rect x="${PLOT.left}" y="${PLOT.top - 2}" width="${PLOT.right - PLOT.left}" height="${PLOT.bottom - PLOT.top + 4}"/></clipPath>`,
    `<text class="title" x="14" y="20">${escapeHtml(spec.title)}</text>`,
    legend(series),
    ...y.ticks.map((tick) => horizontalTick(toY(tick), formatNumber(tick))),
    ...x.ticks.map((tick) => verticalTick(toX(tick), formatNumber(tick))),
    `<path class="axis" d="M${PLOT.left} ${PLOT.bottom}H${PLOT.right}"/>`,
    `<text class="label" x="${(PLOT.left + PLOT.right) / 2}" y="${HEIGHT - 8}" text-anchor="middle">${escapeHtml(spec.xLabel)}</text>`,
    `<text class="label" transform="translate(14 ${(PLOT.top + PLOT.bottom) / 2}) rotate(-90)" text-anchor="middle">${escapeHtml(spec.yLabel)}</text>`,
    ...(spec.guides ?? []).map((guide) => guideLine(toY(guide.y), guide.label)),
    `<g clip-path="url(#${clip})">`,
    ...series.map(({ raw, color }) => `<path class="raw" stroke="${color}" d="${path(raw)}"/>`),
    ...series.map(({ points, color }) => `<path class="line" stroke="${color}" d="${path(points)}"/>`),
    '</g>',
    ...series.flatMap(({ points, color }) =>
      spec.dots === true && points.length <= FEW_POINTS
        ? points.map(
            ([px, py]) => `<circle cx="${toX(px).toFixed(1)}" cy="${toY(py).toFixed(1)}" r="3" fill="${color}"/>`,
          )
        : [],
    ),
    '</svg>',
  ].join('\n');
}

/** Raw outliers may leave the plot: the axis follows the lines and all but the extreme hundredths of the raw values. */
function yAxis(spec: ChartSpec, series: readonly { points: readonly Point[]; raw: readonly Point[] }[]): Axis {
  const raw = series.flatMap((one) => one.raw.map(([, y]) => y)).sort((a, b) => a - b);
  const central = raw.slice(Math.floor(raw.length * 0.01), Math.ceil(raw.length * 0.99));
  const values = [
    ...series.flatMap(({ points }) => points.map(([, y]) => y)),
    ...(spec.guides ?? []).map(({ y }) => y),
    ...(central.length > 0 ? [central[0], central[central.length - 1]] : []),
    ...(spec.yFrom === undefined ? [] : [spec.yFrom]),
  ];
  if (values.length === 0) return niceAxis(0, 1, 5, false);
  const [low, high] = [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))];
  return niceAxis(low, high, 5, false);
}

/**
 * Ticks at round numbers; about `count` of them.
 * @param tight ends the axis at the data instead of the next tick
 */
export function niceAxis(low: number, high: number, count: number, tight: boolean): Axis {
  const [from, to] = low === high ? [low - (Math.abs(low) || 1) / 2, high + (Math.abs(high) || 1) / 2] : [low, high];
  const rough = (to - from) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough * 0.999) ?? 10);
  const first = tight ? Math.ceil(from / step) : Math.floor(from / step);
  const last = tight ? Math.floor(to / step) : Math.ceil(to / step - 1e-9);
  const ticks = Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
  return tight ? { from, to, ticks } : { from: ticks[0], to: ticks[ticks.length - 1], ticks };
}

function legend(series: readonly { name: string; color: string; points: readonly Point[] }[]): string {
  let x = 14;
  return series
    .map(({ name, color, points }) => {
      const last = points.at(-1);
      const text = last === undefined ? name : `${name} ${formatNumber(last[1])}`;
      const entry =
        `<path class="line" stroke="${color}" d="M${x} 36h14"/>` +
        `<text class="legend" x="${x + 19}" y="40">${escapeHtml(text)}</text>`;
      // Text cannot be measured here: 6.2 units a character is a little more than the font needs.
      x += 19 + text.length * 6.2 + 14;
      return entry;
    })
    .join('');
}

function horizontalTick(y: number, text: string): string {
  return (
    `<path class="grid" d="M${PLOT.left} ${y.toFixed(1)}H${PLOT.right}"/>` +
    `<text class="tick" x="${PLOT.left - 7}" y="${(y + 3.5).toFixed(1)}" text-anchor="end">${text}</text>`
  );
}

function verticalTick(x: number, text: string): string {
  return (
    `<path class="axis" d="M${x.toFixed(1)} ${PLOT.bottom}v4"/>` +
    `<text class="tick" x="${x.toFixed(1)}" y="${PLOT.bottom + 16}" text-anchor="middle">${text}</text>`
  );
}

function guideLine(y: number, label: string): string {
  return (
    `<path class="guide" d="M${PLOT.left} ${y.toFixed(1)}H${PLOT.right}"/>` +
    `<text class="tick" x="${PLOT.right}" y="${(y - 4).toFixed(1)}" text-anchor="end">${escapeHtml(label)}</text>`
  );
}

/** Short enough for an axis: `0.0003` as `3e-4`, `1200` as `1,200`, `89650` as `89.7k`. */
export function formatNumber(value: number): string {
  const size = Math.abs(value);
  if (value === 0) return '0';
  if (size >= 1e6) return `${trimmed(value / 1e6)}M`;
  if (size >= 1e4) return `${trimmed(value / 1e3)}k`;
  if (size >= 1e3) return Math.round(value).toLocaleString('en-US');
  if (size < 1e-2) return value.toExponential(2).replace(/\.?0+e/, 'e');
  return trimmed(value);
}

function trimmed(value: number): string {
  return String(Number(value.toPrecision(3)));
}

function finite(points: readonly Point[]): Point[] {
  return points.filter(([x, y]) => Number.isFinite(x) && Number.isFinite(y));
}
