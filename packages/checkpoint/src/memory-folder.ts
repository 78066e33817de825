// Folders whose files are memory: writing is a copy there, and most of its time goes into finding pages.
import { statfs } from 'node:fs/promises';

/** What statfs(2) calls tmpfs. */
const TMPFS = 0x01021994;

export async function isInMemory(folder: string): Promise<boolean> {
  return (await statfs(folder)).type === TMPFS;
}
