// Signals of this process as something that can be subscribed to.
/** While anybody listens, the given signals no longer end the process by themselves. */
export function processSignals(
  signals: readonly NodeJS.Signals[],
): (listener: (signal: NodeJS.Signals) => void) => () => void {
  return (listener) => {
    for (const signal of signals) process.on(signal, listener);
    return () => {
      for (const signal of signals) process.off(signal, listener);
    };
  };
}
