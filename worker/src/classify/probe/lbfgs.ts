// L-BFGS (Liu and Nocedal 1989) for a smooth function that is expensive to evaluate, with a backtracking line search. It knows nothing
// of classifiers or ranks: ranks that are given the same values and gradients take the same way.

export interface Evaluation {
  readonly value: number;
  readonly gradient: Float64Array;
}

export interface LbfgsOptions {
  /** Evaluations of an iteration are one or a few. */
  readonly maxIterations: number;
  /** Ends when the largest element of the gradient is below it. */
  readonly tolerance: number;
  /** Ends, too, when ten iterations lower the value by less than this share of it: below the precision of float32 nothing is won. */
  readonly progress: number;
  /** Pairs that are remembered. */
  readonly memory?: number;
}

export interface LbfgsResult {
  readonly x: Float64Array;
  readonly value: number;
  readonly iterations: number;
  /** Whether it ended before the limit. */
  readonly converged: boolean;
}

interface Pair {
  readonly step: Float64Array;
  readonly change: Float64Array;
  readonly rho: number;
}

const ARMIJO = 1e-4;
const MAX_HALVINGS = 20;
const PATIENCE = 10;

export async function minimise(
  evaluate: (x: Float64Array) => Promise<Evaluation>,
  start: Float64Array,
  { maxIterations, tolerance, progress, memory = 10 }: LbfgsOptions,
): Promise<LbfgsResult> {
  let x: Float64Array = start.slice();
  let { value, gradient }: Evaluation = await evaluate(x);
  const pairs: Pair[] = [];
  const values: number[] = [];
  for (let iteration = 0; iteration < maxIterations; iteration++) {
    values.push(value);
    const stalls = iteration >= PATIENCE && values[iteration - PATIENCE] - value < progress * Math.abs(value);
    if (stalls || largest(gradient) < tolerance) return { x, value, iterations: iteration, converged: true };
    const direction = descent(gradient, pairs);
    const slope = dot(direction, gradient);
    // The first direction has no length yet that means anything.
    let length = pairs.length === 0 ? Math.min(1, 1 / Math.sqrt(dot(gradient, gradient))) : 1;
    let next: { x: Float64Array; at: Evaluation } | undefined;
    for (let halvings = 0; halvings < MAX_HALVINGS && next === undefined; halvings++, length /= 2) {
      const tried = x.map((old, i) => old + length * direction[i]);
      const at = await evaluate(tried);
      if (at.value <= value + ARMIJO * length * slope) next = { x: tried, at };
    }
    if (next === undefined) {
      if (pairs.length === 0) return { x, value, iterations: iteration, converged: true };
      pairs.length = 0;
      continue;
    }
    const step = next.x.map((now, i) => now - x[i]);
    const change = next.at.gradient.map((now, i) => now - gradient[i]);
    const curvature = dot(step, change);
    if (curvature > 1e-10 * dot(change, change)) pairs.push({ step, change, rho: 1 / curvature });
    if (pairs.length > memory) pairs.shift();
    x = next.x;
    ({ value, gradient } = next.at);
  }
  return { x, value, iterations: maxIterations, converged: largest(gradient) < tolerance };
}

/** The two-loop recursion: minus the gradient through the remembered curvature. */
function descent(gradient: Float64Array, pairs: readonly Pair[]): Float64Array {
  const direction = gradient.map((value) => -value);
  const alphas: number[] = [];
  for (const { step, change, rho } of [...pairs].reverse()) {
    const alpha = rho * dot(step, direction);
    alphas.push(alpha);
    add(direction, change, -alpha);
  }
  const newest = pairs.at(-1);
  if (newest !== undefined) {
    const scale = 1 / (newest.rho * dot(newest.change, newest.change));
    for (let i = 0; i < direction.length; i++) direction[i] *= scale;
  }
  for (const { step, change, rho } of pairs) {
    const beta = rho * dot(change, direction);
    add(direction, step, alphas.pop()! - beta);
  }
  return direction;
}

function add(target: Float64Array, values: Float64Array, factor: number): void {
  for (let i = 0; i < target.length; i++) target[i] += factor * values[i];
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

function largest(values: Float64Array): number {
  return values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}
