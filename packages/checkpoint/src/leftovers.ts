// What earlier saves that were cut off left behind: recognised, and removed or put back. Never touches a live save.
import { readdir, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { type FolderRole, plainHost, roleOf, stepName } from './folder-names.js';
import { verifyFolder } from './verify-folder.js';

/** A save on another machine is taken for dead after this long without a change. */
const FOREIGN_IDLE_MS = 3_600_000;

/** Called at the start of a save, when this process has no other save under way in this folder. */
export async function clearLeftovers(folder: string, host: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const role = roleOf(name);
    const place = path.join(folder, name);
    if (role.kind === 'removed' || role.kind === 'pointer-leftover') await rm(place, { recursive: true, force: true });
    if (role.kind === 'replaced') await settleReplaced(folder, place, role.step);
    if (role.kind === 'temporary' && (await isAbandoned(place, role, host))) {
      await rm(place, { recursive: true, force: true });
    }
  }
}

/** Goes if its successor is in place, else it takes its old name back. */
async function settleReplaced(folder: string, place: string, step: number): Promise<void> {
  const successor = path.join(folder, stepName(step));
  if ('manifest' in (await verifyFolder(successor, false))) {
    await rm(place, { recursive: true, force: true });
  } else {
    await rm(successor, { recursive: true, force: true });
    await rename(place, successor);
  }
}

async function isAbandoned(
  place: string,
  writer: Extract<FolderRole, { kind: 'temporary' }>,
  host: string,
): Promise<boolean> {
  if (writer.host === plainHost(host)) return writer.pid === process.pid || !isAlive(writer.pid);
  const inside = await readdir(place).catch(() => []);
  const times = await Promise.all(
    [place, ...inside.map((name) => path.join(place, name))].map(
      async (entry) => (await stat(entry).catch(() => undefined))?.mtimeMs ?? 0,
    ),
  );
  return Date.now() - Math.max(...times) > FOREIGN_IDLE_MS;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
