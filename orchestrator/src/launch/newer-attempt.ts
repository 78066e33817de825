// Notices that the run has been started somewhere else: on a node that the scheduler has lost sight of, workers live on while
// their job runs again elsewhere. The old ones have to go before they write. Nothing but the run folder tells them.
import { lastAttempt } from './run-store.js';

export const LOOK_EVERY_MS = 2000;

/**
 * @param ownAttempt the newest attempt of this launch, undefined before its first
 * @param onNewer called once, with the number of an attempt that is not of this launch
 * @returns how to stop looking
 */
export function watchForNewerAttempt(
  runFolder: string,
  ownAttempt: () => number | undefined,
  onNewer: (attempt: number) => void,
  everyMs = LOOK_EVERY_MS,
): () => void {
  const timer = setInterval(async () => {
    // Read in this order: an attempt of our own that is claimed in between is then not mistaken for another's.
    const newest = await lastAttempt(runFolder).catch(() => undefined);
    const own = ownAttempt();
    if (newest === undefined || own === undefined || newest <= own) return;
    clearInterval(timer);
    onNewer(newest);
  }, everyMs);
  timer.unref();
  return () => clearInterval(timer);
}
