"""Agreement of a GPU with the CPU: tracking, a training step, and the sampling kernels. Skipped without a GPU."""

import numpy as np
import pytest
import torch
from doubles import tiny_config

from lib.models.layers.sampling import roi_align, sample_points
from lib.models.sdtrack import build_sdtrack
from lib.registry import make_tracker
from lib.test.evaluation.syntheticdataset import synthetic_sequences
from lib.test.evaluation.track_sequence import track_sequence
from lib.train.actors.sdtrack import build_actor
from lib.train.builders import TrainingData
from lib.utils.local_paths import local_paths

GPU, CPU = torch.device("cuda"), torch.device("cpu")
pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="NO GPU: tracking and training on a GPU were not tested"
)


@pytest.mark.parametrize("backend", ["torch", "cuda-graph"])
def test_a_gpu_tracks_like_the_cpu(backend):
    video, boxes = synthetic_sequences()[0], {}
    for device, name in ((CPU, "torch"), (GPU, backend)):
        tracker = make_tracker("sdtrack", "lite_224", device=device.type, backend=name)
        boxes[device] = track_sequence(tracker, video).boxes
    assert np.abs(boxes[GPU] - boxes[CPU]).max() < 0.5, "pixels"


def test_a_training_step_has_the_cpus_loss_and_gradients():
    cfg = tiny_config("TRAIN.AMP=false", "MODEL.ENCODER.DROPOUT=0.0", "MODEL.DECODER.DROPOUT=0.0")
    data = TrainingData.of(cfg, local_paths())
    batch = next(iter(data.loaders()[0]))
    found = {}
    for device in (CPU, GPU):
        torch.manual_seed(0)
        actor = build_actor(build_sdtrack(cfg, training=False).to(device), None, cfg)
        loss, _ = actor(data.preparation(device)(dict(batch), device))
        loss.backward()
        gradients = [parameter.grad.cpu() for parameter in actor.net.parameters() if parameter.grad is not None]
        found[device] = loss.item(), torch.cat([gradient.flatten() for gradient in gradients])
    assert found[GPU][0] == pytest.approx(found[CPU][0], rel=1e-3)
    assert torch.nn.functional.cosine_similarity(found[GPU][1], found[CPU][1], dim=0) > 0.999


def test_the_sampling_kernels_agree_with_the_dense_products():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, 8, 12, 10, generator=generator)
    points, boxes = torch.rand(2, 5, 4, 2, generator=generator), torch.rand(2, 5, 4, generator=generator)
    maps = features.permute(0, 2, 3, 1).unsqueeze(0)
    for function, inputs in ((sample_points, (features, points)), (roi_align, (maps, boxes))):
        size = (7,) if function is roi_align else ()
        expected = function(*inputs, *size)
        torch.testing.assert_close(function(*(x.to(GPU) for x in inputs), *size).cpu(), expected, atol=1e-4, rtol=1e-4)
