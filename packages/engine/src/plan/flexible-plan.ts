// One set of models for steps that differ in the length of an input only: what differs between their models is constants, and those
// become inputs. Pure; the tracing of a length and the running of it are elsewhere.
import {
  type DimensionProto,
  decodeModel,
  encodeModel,
  type GraphProto,
  type TensorProto,
} from '../onnx/model-proto.js';
import type { PlannedValue, StepPlan } from './step-plan.js';

/** A constant of a length, and its name as an input of the model. */
export interface VaryingValue extends Pick<TensorProto, 'dims' | 'dataType' | 'rawData'> {
  readonly name: string;
}

/** Plain data, to be kept. */
export interface FlexiblePlan {
  /** That of the longest, with models for any length. */
  readonly plan: StepPlan;
  /** What varies in the model of each segment. */
  readonly places: readonly (readonly Place[])[];
}

/** The plan of one length, without models: those of `FlexiblePlan` serve it. */
export interface LengthPlan extends StepPlan {
  /** What each segment's model needs of this length. */
  readonly varying: readonly (readonly VaryingValue[])[];
}

/**
 * @param longest and `other` are plans of one step at two lengths
 * @returns undefined where the two differ in more than sizes and the values of constants
 */
export function flexiblePlan(longest: StepPlan, other: StepPlan): FlexiblePlan | undefined {
  const places: (readonly Place[])[] = [];
  try {
    sameLayout(longest, other);
    const segments = longest.segments.map((segment, i) => {
      const { model } = segment;
      if (model === undefined) {
        places.push([]);
        return segment;
      }
      const [graph, second] = [decodeModel(model), decodeModel(other.segments[i]!.model!)];
      const varying = varyingPlaces(graph, second);
      places.push(varying);
      return { ...segment, model: encodeModel(withInputs(graph, second, varying)) };
    });
    return { plan: { ...longest, segments }, places };
  } catch (error) {
    if (error instanceof Difference) return undefined;
    throw error;
  }
}

/** @throws Error where `own`, the plan of a length by itself, differs in more than sizes */
export function planAt({ plan, places }: FlexiblePlan, own: StepPlan): LengthPlan {
  sameLayout(plan, own);
  const varying = own.segments.map(({ model }, i) =>
    model === undefined ? [] : valuesAt(decodeModel(model), decodeModel(plan.segments[i]!.model!), places[i]!),
  );
  const segments = own.segments.map(({ model, ...segment }) => segment);
  return { ...own, segments, varying };
}

class Difference extends Error {}

function expectSame(isSame: boolean, what: string): void {
  if (!isSame) throw new Difference(`steps of two lengths differ in ${what}`);
}

/** Memory and work between segments are the same but for sizes. */
function sameLayout(a: StepPlan, b: StepPlan): void {
  const layout = ({ memory, segments, cuts, outputs }: StepPlan) => {
    const places = (values: readonly PlannedValue[]) => values.map((value) => [value.memory, value.shape.length]);
    return JSON.stringify([
      memory.map((place) => [place.kind, 'name' in place ? place.name : '']),
      segments.map((segment) => [
        ...[segment.name, segment.model === undefined, places(segment.inputs), places(segment.outputs)],
        segment.after.map(({ kernel, inputs, outputs: made }) => [kernel, places(inputs), places(made)]),
      ]),
      ...[cuts, outputs],
    ]);
  };
  expectSame(layout(a) === layout(b), 'their memory');
}

/** A constant that varies, and where it is used: the `input`-th of the `node`-th. */
export interface Place {
  readonly name: string;
  readonly uses: readonly { readonly node: number; readonly input: number }[];
}

/** Uses of one constant at one length may be of two at another, where two sizes happen to be equal. */
function varyingPlaces(a: GraphProto, b: GraphProto): Place[] {
  const pairs = new Map<string, { values: [TensorProto, TensorProto]; uses: { node: number; input: number }[] }>();
  walk(a, b, (node, input, one, other) => {
    const key = `${one.name} ${other.name}`;
    const pair = pairs.get(key) ?? { values: [one, other], uses: [] };
    pair.uses.push({ node, input });
    pairs.set(key, pair);
  });
  return [...pairs.values()]
    .filter(({ values: [one, other] }) => !isSameConstant(one, other))
    .map(({ uses }, i) => ({ name: `varying${i}`, uses }));
}

/**
 * Steps through two graphs at once.
 * @param meet called for every use of a constant
 * @throws Difference
 */
function walk(
  a: GraphProto,
  b: GraphProto,
  meet: (node: number, input: number, one: TensorProto, other: TensorProto) => void,
): void {
  const [constantsOfA, constantsOfB] = [a, b].map(
    ({ initializer }) => new Map(initializer.map((constant) => [constant.name, constant])),
  ) as [Map<string, TensorProto>, Map<string, TensorProto>];
  const inA = new Map(b.input.map(({ name }, i) => [name, a.input[i]?.name]));
  expectSame(a.node.length === b.node.length && a.input.length === b.input.length, 'their number of nodes');
  for (const [i, node] of a.node.entries()) {
    const other = b.node[i]!;
    const kindOf = ({ opType, domain, input, output, attribute }: typeof node) =>
      JSON.stringify([opType, domain, input.length, output.length, attribute]);
    expectSame(kindOf(node) === kindOf(other), `node ${i}`);
    for (const [j, name] of node.input.entries()) {
      const [one, two] = [constantsOfA.get(name), constantsOfB.get(other.input[j]!)];
      if (one !== undefined && two !== undefined) meet(i, j, one, two);
      else expectSame(one === two && inA.get(other.input[j]!) === name, `the wiring of node ${i}`);
    }
    for (const [j, name] of node.output.entries()) inA.set(other.output[j]!, name);
  }
}

function isSameConstant(a: TensorProto, b: TensorProto): boolean {
  return a.dims.join() === b.dims.join() && Buffer.compare(a.rawData, b.rawData) === 0;
}

function withInputs(graph: GraphProto, other: GraphProto, varying: readonly Place[]): GraphProto {
  const node = graph.node.map((each) => ({ ...each, input: [...each.input] }));
  const constants = new Map(graph.initializer.map((constant) => [constant.name, constant]));
  const constantAt = (from: GraphProto, { node: at, input }: Place['uses'][number]) => {
    const name = from.node[at]!.input[input]!;
    return from.initializer.find((constant) => constant.name === name)!;
  };
  const inputs = varying.map(({ name, uses }) => {
    const [one, two] = [constantAt(graph, uses[0]!), constantAt(other, uses[0]!)];
    for (const { node: at, input } of uses) node[at]!.input[input] = name;
    const dim = one.dims.map((size, axis) => dimension(size, two.dims[axis]!));
    return { name, type: { tensorType: { elemType: one.dataType, shape: { dim } } } };
  });
  const used = new Set(node.flatMap(({ input }) => input));
  const border = (infos: GraphProto['input'], others: GraphProto['input']) =>
    infos.map(({ name, type: { tensorType } }, i) => {
      const sizes = others[i]!.type.tensorType.shape.dim as { dimValue: number }[];
      const dim = (tensorType.shape.dim as { dimValue: number }[]).map(({ dimValue }, axis) =>
        dimension(dimValue, sizes[axis]!.dimValue),
      );
      return { name, type: { tensorType: { ...tensorType, shape: { dim } } } };
    });
  return {
    ...graph,
    node,
    initializer: [...constants.values()].filter(({ name }) => used.has(name)),
    input: [...border(graph.input, other.input), ...inputs],
    output: border(graph.output, other.output),
    // The same nodes, so the same values in the same order.
    valueInfo: border(graph.valueInfo, other.valueInfo),
  };
}

/** Sizes that are the same function of the length have the same two values, and so one name. */
function dimension(size: number, other: number): DimensionProto {
  return size === other ? { dimValue: size } : { dimParam: `n${size}_${other}` };
}

/** @param merged the model with inputs where this one has constants */
function valuesAt(graph: GraphProto, merged: GraphProto, varying: readonly Place[]): VaryingValue[] {
  const places = new Map(varying.map(({ name }) => [name, [] as TensorProto[]]));
  const plain: GraphProto = { ...merged, input: merged.input.slice(0, graph.input.length) };
  const constants = new Map(graph.initializer.map((constant) => [constant.name, constant]));
  walk(withPlaceholders(plain, varying), graph, (node, input, one, other) => {
    const found = places.get(one.name);
    if (found !== undefined) found.push(other);
    else expectSame(isSameConstant(one, other), `a constant of node ${node}, input ${input}`);
  });
  return varying.map(({ name }) => {
    const [value, ...others] = places.get(name)!;
    expectSame(
      others.every((other) => isSameConstant(constants.get(value!.name)!, other)),
      `the constants of ${name}`,
    );
    const { dims, dataType, rawData } = value!;
    return { name, dims, dataType, rawData };
  });
}

/** The graph with empty constants in place of what varies. */
function withPlaceholders(graph: GraphProto, varying: readonly Place[]): GraphProto {
  const empty = varying.map(({ name }) => ({ name, dims: [], dataType: 0, rawData: new Uint8Array() }));
  return { ...graph, initializer: [...graph.initializer, ...empty] };
}
