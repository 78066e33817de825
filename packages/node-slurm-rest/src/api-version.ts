// Which version of slurmrestd's API to speak. Pure.
import { SlurmError } from './errors.js';

/** Versions this client speaks. 38, 40, 41 and 42 are tested against live servers, see the README. */
export const OLDEST_VERSION = 36;
export const NEWEST_VERSION = 42;

/** `v0.0.38` as 38. @throws SlurmError `unsupported-version` */
export function versionNumber(version: string): number {
  const match = /^v0\.0\.(\d+)$/.exec(version);
  if (match === null)
    throw new SlurmError('unsupported-version', `API version "${version}": expected one such as v0.0.38`);
  return Number(match[1]);
}

/** Versions named by the paths of an OpenAPI description, oldest first. Those of slurmdbd do not count. */
export function versionsOf(paths: Iterable<string>): string[] {
  const found = new Set<number>();
  for (const path of paths) {
    const match = /^\/slurm\/v0\.0\.(\d+)\//.exec(path);
    if (match !== null) found.add(Number(match[1]));
  }
  return [...found].sort((a, b) => a - b).map((number) => `v0.0.${number}`);
}

/**
 * The newest version that both sides speak.
 * @throws SlurmError `unsupported-version` naming both sides
 */
export function chooseVersion(offered: readonly string[]): string {
  const common = offered.filter((version) => {
    const number = versionNumber(version);
    return number >= OLDEST_VERSION && number <= NEWEST_VERSION;
  });
  const newest = common.at(-1);
  if (newest !== undefined) return newest;
  throw new SlurmError(
    'unsupported-version',
    `the server offers ${offered.join(', ') || 'no version'}; this client speaks v0.0.${OLDEST_VERSION} to v0.0.${NEWEST_VERSION}`,
  );
}
