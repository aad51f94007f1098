import pytest
import torch

from hf_imgcls.errors import InputError
from hf_imgcls.images.mixing import Mixing

PIXELS = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 2, 3, 1, 0])


def test_mixup_is_a_weighted_mean_of_neighbours_in_images_and_labels():
    torch.manual_seed(1)
    pixels, labels = Mixing([{"MixUp": {"alpha": 0.4}}], 4)(PIXELS, LABELS)
    fraction = labels[1, 1].item()  # neighbours 1 and 0: labels 1 and 0
    assert 0 < fraction < 1
    assert torch.allclose(pixels[1], fraction * PIXELS[1] + (1 - fraction) * PIXELS[0], atol=1e-6)
    assert labels[1].tolist() == pytest.approx([1 - fraction, fraction, 0, 0])
    assert labels.sum(dim=1).tolist() == pytest.approx([1.0] * 6)


def test_cutmix_pastes_a_box_and_shares_the_label_by_its_area():
    torch.manual_seed(3)
    pixels, labels = Mixing(["CutMix"], 4)(PIXELS, LABELS)
    pasted = (pixels[2] == PIXELS[1]).all(dim=0)
    unchanged = (pixels[2] == PIXELS[2]).all(dim=0)
    assert (pasted ^ unchanged).all()
    assert 0 < pasted.sum() < 64
    assert labels[2, 1].item() == pytest.approx(pasted.float().mean().item())
    assert labels[2, 2].item() == pytest.approx(unchanged.float().mean().item())


def test_mixup_per_image_draws_a_fraction_for_each_image():
    torch.manual_seed(1)
    pixels, labels = Mixing([{"MixUp": {"alpha": 0.4, "per_image": True}}], 6)(PIXELS, torch.arange(6))
    kept = labels.diagonal()
    assert len(set(kept.tolist())) == 6
    assert labels.sum(dim=1).tolist() == pytest.approx([1.0] * 6)
    for i in range(6):
        assert labels[i, i - 1].item() == pytest.approx(1 - kept[i].item(), abs=1e-6)
        assert torch.allclose(pixels[i], kept[i] * PIXELS[i] + (1 - kept[i]) * PIXELS[i - 1], atol=1e-6)


def test_cutmix_per_image_draws_a_box_for_each_image():
    torch.manual_seed(2)
    pixels, labels = Mixing([{"CutMix": {"alpha": 1.0, "per_image": True}}], 6)(PIXELS, torch.arange(6))
    boxes = set()
    for i in range(6):
        pasted, unchanged = ((pixels[i] == PIXELS[j]).all(dim=0) for j in (i - 1, i))
        assert (pasted ^ unchanged).all()
        assert labels[i, i - 1].item() == pytest.approx(pasted.float().mean().item())
        assert labels[i, i].item() == pytest.approx(unchanged.float().mean().item())
        rows, columns = pasted.any(dim=1).nonzero().flatten(), pasted.any(dim=0).nonzero().flatten()
        assert len(rows) * len(columns) == pasted.sum()  # a rectangle
        boxes.add((str(rows.tolist()), str(columns.tolist())))
    assert len(boxes) >= 5


@pytest.mark.parametrize("name", ["MixUp", "CutMix"])
def test_per_image_fractions_are_distributed_as_torchvisions(name):
    pixels, labels = torch.randn(400, 1, 8, 8), torch.arange(400)
    torch.manual_seed(0)
    each = Mixing([{name: {"alpha": 0.5, "per_image": True}}], 400)(pixels, labels)[1].diagonal()
    batchwise = Mixing([{name: {"alpha": 0.5}}], 4)
    drawn = torch.stack([batchwise(pixels[:4], labels[:4])[1][0, 0] for _ in range(400)])
    for moment in (torch.mean, torch.std):
        assert moment(each).item() == pytest.approx(moment(drawn).item(), abs=0.06)


def test_one_of_several_is_drawn_for_each_batch():
    torch.manual_seed(0)
    mixing = Mixing(["MixUp", "CutMix", "Identity"], 4)
    seen = set()
    for _ in range(30):
        pixels, labels = mixing(PIXELS, LABELS)
        if labels.ndim == 1:
            assert labels is LABELS
            assert pixels is PIXELS
            seen.add("Identity")
        else:
            own = ((pixels == PIXELS) | (pixels == PIXELS.roll(1, 0))).all()
            seen.add("CutMix" if own else "MixUp")
    assert seen == {"MixUp", "CutMix", "Identity"}


def test_the_same_generator_mixes_alike():
    torch.manual_seed(5)
    mixing = Mixing([{"MixUp": {"per_image": True}}, "CutMix", {"CutMix": {"per_image": True}}], 4)
    state = torch.get_rng_state()
    first = [mixing(PIXELS, LABELS) for _ in range(5)]
    torch.set_rng_state(state)
    again = [mixing(PIXELS, LABELS) for _ in range(5)]
    assert all(torch.equal(a, b) for pair in zip(first, again, strict=True) for a, b in zip(*pair, strict=True))
    assert not torch.equal(first[0][0], first[1][0])


@pytest.mark.parametrize(
    ("spec", "line"),
    [
        (
            "Mixup",
            r'augmentation.mix.0: found \'Mixup\', expected one of MixUp, CutMix, Identity; did you mean "MixUp"',
        ),
        ("RandomHorizontalFlip", "augmentation.mix.0: found 'RandomHorizontalFlip'"),
        ({"MixUp": {"alpa": 0.2}}, r'augmentation.mix.0.MixUp.alpa: unknown argument; did you mean "alpha"'),
        ({"CutMix": {"alpha": 0}}, "augmentation.mix.0.CutMix.alpha: found 0, expected a number of 0.001 to 1000"),
        ({"CutMix": {"alpha": "1"}}, "augmentation.mix.0.CutMix.alpha: found '1'"),
        ({"CutMix": {"per_image": 1}}, "augmentation.mix.0.CutMix.per_image: found 1, expected true or false"),
        ({"Identity": {"alpha": 1}}, "augmentation.mix.0.Identity.alpha: unknown argument"),
        ({"MixUp": {}, "CutMix": {}}, "one transform per entry, found 2"),
    ],
)
def test_what_is_no_mix_is_one_line(spec, line):
    with pytest.raises(InputError, match=line):
        Mixing([spec], 4)
