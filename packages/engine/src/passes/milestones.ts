// Where a step's outputs are complete, and where its last level is cut so that some of them are known before the others; pure.
import type { Graph, GraphNode, NamedValue } from '../trace/graph.js';
import { lastLevelOf, levelsOf, nodeLevel } from './segment.js';

/**
 * When an output is complete: the place among the graph's nodes of the one that makes it; -1 where that runs before the last level
 * begins, and infinity where the host or the wire makes it after everything else.
 */
export type Completion = ReadonlyMap<string, number>;

/** Groups of outputs, each wanted as soon as all of it is complete, in the order in which they are. */
export type Milestones = readonly (readonly string[])[];

export interface MilestonePlan {
  /** Places among the graph's nodes before which the last level is cut, ascending. */
  readonly cuts: readonly number[];
  /** For each group, after how many pieces of the last level it is complete: 0 is when the level begins. */
  readonly pieces: readonly number[];
}

/** @param wanted the groups, given when each output is complete; nothing is cut without it */
export function milestonesOf(
  graph: Graph,
  wanted?: (completion: Completion) => Milestones,
): { readonly plan: MilestonePlan; readonly asked?: { readonly completion: Completion; readonly groups: Milestones } } {
  if (wanted === undefined) return { plan: { cuts: [], pieces: [] } };
  const completion = completionOf(graph);
  const groups = wanted(completion);
  return { plan: planMilestones(graph, completion, groups), asked: { completion, groups } };
}

export function completionOf(graph: Graph): Completion {
  const levels = levelsOf(graph);
  const last = lastLevelOf(graph, levels);
  const places = new Map<GraphNode, number>(graph.nodes.map((node, place) => [node, place]));
  const placeOf = ({ value }: NamedValue): number => {
    if (value.source.kind !== 'node') return Number.POSITIVE_INFINITY;
    const { node } = value.source;
    if (nodeLevel(node, levels) < last) return -1;
    return node.kernel.place === 'graph' ? places.get(node)! : Number.POSITIVE_INFINITY;
  };
  return new Map(graph.outputs.map((output) => [output.name, placeOf(output)]));
}

/**
 * A cut after each group's last node. Groups that are complete when the level begins, or together with another, need none of their own.
 * @throws RangeError when a group names no output, or an unknown one
 */
export function planMilestones(graph: Graph, completion: Completion, groups: Milestones): MilestonePlan {
  const ends = groups.map((names) => {
    if (names.length === 0) throw new RangeError('a milestone without outputs');
    return Math.max(
      ...names.map((name) => {
        const place = completion.get(name);
        if (place === undefined) throw new RangeError(`a milestone names '${name}', which is no output`);
        return place;
      }),
    );
  });
  const lastPlace = graph.nodes.length - 1;
  const cuts = [...new Set(ends)].filter((end) => end >= 0 && end < lastPlace).map((end) => end + 1);
  cuts.sort((a, b) => a - b);
  const pieces = ends.map((end) => {
    if (end < 0) return 0;
    const piece = cuts.findIndex((cut) => end < cut);
    return piece < 0 ? cuts.length + 1 : piece + 1;
  });
  return { cuts, pieces };
}
