// metric sinks: JSON lines, TensorBoard, log.txt, progress.
export {};
