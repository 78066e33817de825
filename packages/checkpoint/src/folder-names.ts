// Which names in a `checkpoints` folder mean what. Pure, so that saving, finding and cleaning cannot disagree.

/** `step-00000123`, wider for larger steps. */
export function stepName(step: number): string {
  return `step-${String(step).padStart(8, '0')}`;
}

export type FolderRole =
  /** A checkpoint under its own name. */
  | { kind: 'checkpoint'; step: number }
  /** One that was moved aside for a new save of the same step; still good until that one is in place. */
  | { kind: 'replaced'; step: number }
  /** A save under way or cut off, by the process `pid` on `host`. */
  | { kind: 'temporary'; step: number; pid: number; host: string }
  /** On its way out. */
  | { kind: 'removed'; step: number }
  /** On its way out, its files kept to be written over by the next save. */
  | { kind: 'spare'; step: number }
  /** A `latest` or `best` that was cut off before it took its name. */
  | { kind: 'pointer-leftover' }
  | { kind: 'other' };

const POINTER_LEFTOVER = /^\.(?:latest|best)\.(?:\d+\.)?tmp$/;
const PATTERN = /^step-(\d{8,15})(?:\.(?:(replaced|removed|spare)|tmp-(\d+)-([A-Za-z0-9_-]+)))?$/;

export function roleOf(name: string): FolderRole {
  if (POINTER_LEFTOVER.test(name)) return { kind: 'pointer-leftover' };
  const match = PATTERN.exec(name);
  if (match === null) return { kind: 'other' };
  const step = Number(match[1]);
  if (match[2] !== undefined) return { kind: match[2] as 'replaced' | 'removed' | 'spare', step };
  if (match[3] !== undefined) return { kind: 'temporary', step, pid: Number(match[3]), host: match[4] };
  return { kind: 'checkpoint', step };
}

export function temporaryName(step: number, pid: number, host: string): string {
  return `${stepName(step)}.tmp-${pid}-${plainHost(host)}`;
}

export function replacedName(step: number): string {
  return `${stepName(step)}.replaced`;
}

export function removedName(step: number): string {
  return `${stepName(step)}.removed`;
}

export function spareName(step: number): string {
  return `${stepName(step)}.spare`;
}

/** Host names may hold characters that would make the name ambiguous. */
export function plainHost(host: string): string {
  return host.replace(/[^A-Za-z0-9_-]/g, '_') || 'host';
}
