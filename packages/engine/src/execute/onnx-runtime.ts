// ONNX Runtime as this project loads it: the only place that may, because what comes first decides what it does unasked.
import './telemetry-off.js';

export * from 'onnxruntime-node';
