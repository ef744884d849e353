import math
from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from lib.models.losses.box_losses import iou_and_giou, l1_and_giou_loss, supervised_queries
from lib.models.losses.criterion import SetCriterion
from lib.models.losses.matcher import HungarianMatcher
from lib.models.losses.task_alignment import alignment_target, focal_loss, task_alignment_loss
from lib.utils.box_ops import box_cxcywh_to_xyxy

TABLE_IV = [
    (0.25, 0.5, 1.0, 2 / 3),
    (0.25, 0.5, 2.0, 2 / 3),
    (0.25, 0.75, 2.0, 1.0),
    (0.5, 0.75, 2.0, 1.5),
    (0.5, 1.0, 3.0, 2.0),
]


@pytest.mark.parametrize("gamma", [1.0, 2.0, 3.0])
def test_gradients_equal_numeric_ones_in_double(gamma):
    logits = torch.randn(6, dtype=torch.double, requires_grad=True)
    goal = torch.rand(6, dtype=torch.double)
    positive = torch.tensor([True, False, True, False, True, False])
    assert torch.autograd.gradcheck(lambda x: task_alignment_loss(x, goal, positive, gamma), logits)
    assert torch.autograd.gradcheck(lambda x: focal_loss(x, positive), logits)


def test_loss_is_eq_10_by_hand():
    logits, goal = torch.tensor([0.3, -1.2]), torch.tensor([0.7, 0.9])
    s = logits.sigmoid()
    positive = (goal[0] - s[0]).abs() ** 2 * -(goal[0] * s[0].log() + (1 - goal[0]) * (1 - s[0]).log())
    negative = s[1] ** 2 * -(1 - s[1]).log()
    loss = task_alignment_loss(logits, goal, torch.tensor([True, False]))
    torch.testing.assert_close(loss, torch.stack([positive, negative]))


def test_positives_without_their_factor_are_align_detrs_by_hand():
    logits, goal = torch.tensor([0.3, -1.2]), torch.tensor([0.7, 0.9])
    s = logits.sigmoid()
    positive = -(goal[0] * s[0].log() + (1 - goal[0]) * (1 - s[0]).log())
    loss = task_alignment_loss(logits, goal, torch.tensor([True, False]), modulate_positives=False)
    torch.testing.assert_close(loss, torch.stack([positive, s[1] ** 2 * -(1 - s[1]).log()]))


@pytest.mark.parametrize(("score", "expected"), [(0.9, 2 * (0.9**0.25 * 0.5**0.75)), (0.001, 1.0)])
def test_the_normalizer_of_tood_is_the_sum_of_the_positives_targets(score, expected):
    """At least 1; every positive has an IoU of one half here."""
    logits = torch.logit(torch.tensor([[score, score, 0.5, 0.5]]))
    boxes = torch.tensor([[[0.5, 0.5, 0.2, 0.1], [0.5, 0.5, 0.2, 0.1], [0.1, 0.1, 0.1, 0.1], [0.9, 0.9, 0.1, 0.1]]])
    target = torch.tensor([[0.5, 0.5, 0.2, 0.2]])
    by_target, matched = SetCriterion(matcher=HungarianMatcher(cls=0))(logits, boxes, target)
    by_alignment, _ = SetCriterion(matcher=HungarianMatcher(cls=0), normalizer="alignment")(logits, boxes, target)
    assert matched.tolist() == [[True, True, False, False]]
    assert (by_target["cls"] / by_alignment["cls"]).item() == pytest.approx(expected, rel=1e-5)
    for name in ("l1", "giou"):
        assert by_target[name] == by_alignment[name]


@pytest.mark.parametrize("align", [True, False])
def test_an_image_without_a_target_has_only_negatives_and_no_box_loss(align):
    logits, boxes = torch.randn(2, 6), torch.rand(2, 6, 4).clamp(min=0.1)
    targets = torch.tensor([[0.5, 0.5, 0.2, 0.2], [0.0, 0.0, 0.0, 0.0]])
    criterion = SetCriterion(matcher=HungarianMatcher(), box_topk=3, align=align)
    terms, matched = criterion(logits, boxes, targets)
    alone, alone_matched = criterion(logits[:1], boxes[:1], targets[:1])
    assert torch.equal(matched[0], alone_matched[0]) and not matched[1].any()
    for name in ("l1", "giou"):
        torch.testing.assert_close(terms[name], alone[name] / 2)  # the mean over both images
    s = logits[1].sigmoid()
    negative = (s**2 * -(1 - s).log()).sum() * (1 if align else 0.75)
    torch.testing.assert_close(terms["cls"], (alone["cls"] + negative) / 2)


@pytest.mark.parametrize(("alpha", "beta", "gamma", "power"), TABLE_IV)
@pytest.mark.parametrize("u", [0.3, 0.6, 0.9])
def test_descent_ends_where_the_score_is_the_stated_power_of_the_iou(alpha, beta, gamma, power, u):
    iou = torch.tensor([u], dtype=torch.double)
    fixed = torch.logit(iou**power)
    torch.testing.assert_close(alignment_target(fixed, iou, alpha, beta), iou**power)
    logits = (fixed + 0.8).clone().requires_grad_()
    for _ in range(3000):
        loss = task_alignment_loss(logits, alignment_target(logits, iou, alpha, beta), torch.tensor([True]), gamma)
        (gradient,) = torch.autograd.grad(loss.sum(), logits)
        # a sign step: the minimum is flat for gamma > 1
        logits = (logits - 1e-3 * gradient.sign()).detach().requires_grad_()
    assert logits.sigmoid().item() == pytest.approx(u**power, abs=0.01)


def test_target_is_detached():
    logits = torch.zeros(3, requires_grad=True)
    assert not alignment_target(logits, torch.rand(3)).requires_grad


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("align", [True, False])
def test_no_overflow_at_extreme_logits_and_boxes(dtype, align):
    logits = torch.tensor([[50.0, -50.0, 50.0, -50.0, 0.0]], dtype=dtype, requires_grad=True)
    boxes = torch.tensor(
        [
            [
                [0.5, 0.5, 0.0, 0.0],
                [0.5, 0.5, 1.0, 1.0],
                [0.0, 0.0, 0.0, 0.0],
                [1.0, 1.0, 1.0, 1.0],
                [0.5, 0.5, 0.2, 0.0],
            ]
        ],
        dtype=dtype,
        requires_grad=True,
    )
    for target in ([0.5, 0.5, 0.0, 0.0], [0.5, 0.5, 1.0, 1.0], [0.5, 0.5, 0.2, 0.3]):
        terms, _ = SetCriterion(matcher=HungarianMatcher(), align=align)(
            logits, boxes, torch.tensor([target], dtype=dtype)
        )
        total = sum(terms.values())
        gradients = torch.autograd.grad(total, [logits, boxes])
        assert total.isfinite()
        assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("repeats", [1, 2, 3])
def test_matching_equals_brute_force_and_gives_distinct_queries(repeats):
    for _ in range(10):
        logits, boxes, targets = torch.randn(2, 6), torch.rand(2, 6, 4), torch.rand(2, 4)
        matcher = HungarianMatcher(repeats=repeats)
        matched, cost = matcher(logits, boxes, targets), matcher.cost(logits, boxes, targets)
        for image in range(2):
            best = min(combinations(range(6), repeats), key=lambda chosen: cost[image, list(chosen)].sum().item())
            assert set(matched[image].nonzero().flatten().tolist()) == set(best)


@pytest.mark.parametrize("repeats", [1, 2, 6])
def test_matching_is_the_optimum_of_the_assignment_problem(repeats):
    """Its total cost is that of the Hungarian algorithm on the repeated target, and so are its queries."""
    logits, boxes, targets = torch.randn(20, 50), torch.rand(20, 50, 4), torch.rand(20, 4)
    matcher = HungarianMatcher(repeats=repeats)
    matched, cost = matcher(logits, boxes, targets), matcher.cost(logits, boxes, targets)
    for own, costs in zip(matched, cost.double().numpy(), strict=True):
        queries, _ = linear_sum_assignment(np.repeat(costs[:, None], repeats, axis=1))
        assert costs[own.numpy()].sum() == pytest.approx(costs[queries].sum(), abs=1e-12)
        assert set(own.nonzero().flatten().tolist()) == set(queries.tolist())


def test_of_equal_costs_the_lowest_queries_are_matched():
    boxes = torch.tensor([0.5, 0.5, 0.2, 0.2]).expand(1, 300, 4)
    matched = HungarianMatcher(repeats=3)(torch.zeros(1, 300), boxes, boxes[:, 0])
    assert matched.nonzero()[:, 1].tolist() == [0, 1, 2]


def test_matching_cost_by_hand():
    logits = torch.zeros(1, 1)
    box, target = torch.tensor([[[0.5, 0.5, 0.2, 0.2]]]), torch.tensor([[0.5, 0.5, 0.4, 0.2]])
    focal = 0.25 * 0.25 * 0.6931 - 0.75 * 0.25 * 0.6931
    expected = 2 * focal + 5 * 0.2 + 2 * (1 - 0.5)
    assert HungarianMatcher().cost(logits, box, target).item() == pytest.approx(expected, abs=1e-3)


def test_matching_survives_values_that_are_no_numbers():
    logits = torch.tensor([[float("nan"), 0.0, 0.0, float("inf")]])
    matched = HungarianMatcher()(logits, torch.rand(1, 4, 4), torch.rand(1, 4))
    assert matched.sum() == 2
    assert not matched[0, 0]


def test_the_cost_of_a_query_is_its_own():
    logits, boxes, targets = torch.randn(2, 3), torch.rand(2, 3, 4), torch.rand(2, 4)
    together = HungarianMatcher().cost(logits, boxes, targets)
    for image in range(2):
        for query in range(3):
            of_one = logits[image, query].view(1, 1), boxes[image, query].view(1, 1, 4), targets[image : image + 1]
            torch.testing.assert_close(together[image, query], HungarianMatcher().cost(*of_one)[0, 0])


@pytest.mark.parametrize("logit", [-200.0, 200.0])
def test_queries_of_saturated_scores_are_matched_by_their_boxes(logit):
    target = torch.tensor([[0.5, 0.5, 0.2, 0.2]])
    boxes = torch.tensor([[[0.1, 0.1, 0.1, 0.1], [0.5, 0.5, 0.2, 0.2], [0.9, 0.9, 0.3, 0.3], [0.5, 0.5, 0.2, 0.3]]])
    matched = HungarianMatcher()(torch.full((1, 4), logit), boxes, target)
    assert matched.tolist() == [[False, True, False, True]]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_the_alignment_target_by_hand_in_every_precision(dtype):
    logits, iou = torch.tensor([0.0, -3.0, 8.0, 1.0], dtype=dtype), torch.tensor([0.5, 0.3, 1.2, -0.1])
    target = alignment_target(logits, iou)
    assert target.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    scores = [1 / (1 + math.exp(-logit)) for logit in logits.tolist()]
    expected = [score**0.25 * overlap**0.75 for score, overlap in zip(scores, (0.5, 0.3, 1.0, 0.0))]
    torch.testing.assert_close(target, torch.tensor(expected, dtype=target.dtype))
    loss = task_alignment_loss(logits, target, torch.tensor([True, True, False, False]))
    assert loss.dtype == target.dtype and (loss[1:] > 0).all()


def test_giou_of_known_boxes():
    a = torch.tensor([[0.0, 0, 2, 2], [0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 0, 0]])
    b = torch.tensor([[1.0, 1, 3, 3], [0, 0, 1, 1], [2, 2, 3, 3], [0, 0, 0, 0]])
    iou, giou = iou_and_giou(a, b)
    torch.testing.assert_close(iou, torch.tensor([1 / 7, 1, 0, 0]))
    torch.testing.assert_close(giou[:3], torch.tensor([1 / 7 - 2 / 9, 1, -7 / 9]))
    assert giou.isfinite().all()


def test_box_loss_covers_the_matched_and_the_best_scored():
    logits = torch.tensor([[0.1, 3.0, 2.0, -1.0]])
    matched = torch.tensor([[True, False, False, False]])
    assert supervised_queries(logits, matched, 0).tolist() == [[True, False, False, False]]
    assert supervised_queries(logits, matched, 2).tolist() == [[True, True, True, False]]
    assert supervised_queries(logits, matched, 99).all()
    boxes, target = torch.rand(1, 4, 4), torch.rand(1, 4)
    l1, giou = l1_and_giou_loss(boxes, target, matched)
    torch.testing.assert_close(l1, (boxes[0, 0] - target[0]).abs().sum())
    expected = 1 - iou_and_giou(box_cxcywh_to_xyxy(boxes[0, 0]), box_cxcywh_to_xyxy(target[0]))[1]
    torch.testing.assert_close(giou, expected)


def test_box_loss_gradients_in_double():
    boxes = (torch.rand(2, 3, 4, dtype=torch.double) * 0.4 + 0.3).requires_grad_()
    targets = torch.rand(2, 4, dtype=torch.double) * 0.4 + 0.3
    chosen = torch.tensor([[True, False, True], [False, True, True]])
    assert torch.autograd.gradcheck(lambda x: l1_and_giou_loss(x, targets, chosen), boxes)


def test_classification_is_divided_by_the_number_of_targets_not_of_positives():
    logits, boxes, targets = torch.randn(1, 5), torch.rand(1, 5, 4), torch.rand(1, 4)
    criterion = SetCriterion(matcher=HungarianMatcher())
    one = criterion(logits, boxes, targets)[0]["cls"]
    three = criterion(logits.repeat(3, 1), boxes.repeat(3, 1, 1), targets.repeat(3, 1))[0]["cls"]
    torch.testing.assert_close(one, three)


def test_the_focal_loss_by_hand():
    logits, positive = torch.tensor([2.0, -1.0, 0.5]), torch.tensor([True, False, False])
    for options, alpha, gamma in (({}, 0.25, 2), ({"alpha": 0.4, "gamma": 3.0}, 0.4, 3)):
        expected = []
        for logit, is_positive in zip(logits.tolist(), positive.tolist()):
            score = 1 / (1 + math.exp(-logit))
            right, share = (score, alpha) if is_positive else (1 - score, 1 - alpha)
            expected.append(-share * (1 - right) ** gamma * math.log(right))
        torch.testing.assert_close(focal_loss(logits, positive, **options), torch.tensor(expected))
