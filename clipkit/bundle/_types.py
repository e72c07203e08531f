"""Which `type` a bundle's config may name: clipkit's registered parts and its installed plugins', and of mmseg, mmdet,
mmcv and mmengine the parts that are listed here. None of these reads files, fetches or evaluates what it is given once
the values are checked too (`clipkit.bundle._checked`)."""

from __future__ import annotations

import re
from importlib.metadata import entry_points
from typing import Any

from clipkit.engine.plugins import ENTRY_POINT_GROUP
from clipkit.engine.register import import_room_of
from clipkit.engine.registry import MODELS, TASK_UTILS

_SCOPES = ("clipkit", "mmseg", "mmdet", "mmcv", "mmengine")
_NAME = re.compile(r"(?:(?P<scope>\w+)\.)?(?P<name>\w+)", re.ASCII)

# Left out on purpose: TIMMBackbone, VPD, BertModel, CLIPTextEncoder, Detectron2Wrapper (they open files or fetch),
# Pretrained, CameraMotionCompensation (evaluates a text), what tracks, what trains by a teacher.
_OF_OTHERS = frozenset(
    """
    SegDataPreProcessor DetDataPreprocessor BaseDataPreprocessor ImgDataPreprocessor EncoderDecoder
    CascadeEncoderDecoder DepthEstimator ANNHead APCHead ASPPHead CCHead DAHead DDRHead DMHead DNLHead DPTHead
    DepthwiseSeparableASPPHead DepthwiseSeparableFCNHead EMAHead EncHead FCNHead FPNHead GCHead ISAHead
    IterativeDecodeHead KernelUpdateHead KernelUpdator LRASPPHead LightHamHead NLHead OCRHead PIDHead PSAHead PSPHead
    PointHead SETRMLAHead SETRUPHead STDCHead SegformerHead SegmenterMaskTransformerHead UPerHead BEiT BiSeNetV1
    BiSeNetV2 CGNet CSPDarknet CSPNeXt DDRNet Darknet DeconvModule DetectoRS_ResNeXt DetectoRS_ResNet ERFNet
    EfficientNet FastSCNN HRNet HourglassNet ICNet InterpConv MAE MSCAN MixVisionTransformer MobileNetV2 MobileNetV3
    PCPVT PIDNet PyramidVisionTransformer PyramidVisionTransformerV2 RegNet Res2Net ResNeSt ResNeXt ResNet ResNetV1c
    ResNetV1d SSDVGG STDCContextPathNet STDCNet SVT SwinTransformer TridentResNet UNet VisionTransformer BFP
    CSPNeXtPAFPN CTResNetNeck ChannelMapper DilatedEncoder DyHead FPG FPN FPN_CARAFE FPN_DropBlock Feature2Pyramid
    HRFPN ICNeck JPU MLANeck MultiLevelNeck NASFCOS_FPN NASFPN PAFPN RFP SSDNeck SSH YOLOV3Neck YOLOXPAFPN ATSS
    AutoAssign BoxInst CascadeRCNN CenterNet CondInst ConditionalDETR CornerNet DABDETR DDOD DDQDETR DETR DINO
    DeformableDETR FCOS FOVEA FSAF FastRCNN FasterRCNN GFL GLIP GridRCNN HybridTaskCascade Mask2Former MaskFormer
    MaskRCNN MaskScoringRCNN NASFCOS PAA PanopticFPN PointRend QueryInst RPN RTMDet RepPointsDetector RetinaNet SCNet
    SOLO SOLOv2 SingleStageDetector SparseRCNN TOOD TridentFasterRCNN TwoStageDetector VFNet YOLACT YOLOF YOLOV3 YOLOX
    ATSSHead ATSSVLFusionHead AnchorFreeHead AnchorHead AutoAssignHead BoxInstBboxHead BoxInstMaskHead CascadeRPNHead
    CenterNetHead CenterNetUpdateHead CentripetalHead CondInstBboxHead CondInstMaskHead ConditionalDETRHead CornerHead
    DABDETRHead DDODHead DDQDETRHead DETRHead DINOHead DecoupledSOLOHead DecoupledSOLOLightHead DeformableDETRHead
    EmbeddingRPNHead FCOSHead FSAFHead FoveaHead FreeAnchorRetinaHead GARPNHead GARetinaHead GFLHead GuidedAnchorHead
    Mask2FormerHead MaskFormerHead NASFCOSHead PAAHead PISARetinaHead PISASSDHead RPNHead RTMDetHead RTMDetInsHead
    RTMDetInsSepBNHead RTMDetSepBNHead RepPointsHead RetinaHead RetinaSepBNHead SABLRetinaHead SOLOHead SOLOV2Head
    SSDHead StageCascadeRPNHead TOODHead VFNetHead YOLACTHead YOLACTProtonet YOLOFHead YOLOV3Head YOLOXHead BBoxHead
    CascadeRoIHead CoarseMaskHead ConvFCBBoxHead DIIHead DoubleConvFCBBoxHead DoubleHeadRoIHead DynamicMaskHead
    DynamicRoIHead FCNMaskHead FeatureRelayHead FusedSemanticHead GenericRoIExtractor GlobalContextHead GridHead
    GridRoIHead HTCMaskHead HybridTaskCascadeRoIHead MaskIoUHead MaskPointHead MaskScoringRoIHead PISARoIHead
    PointRendRoIHead ResLayer SABLHead SCNetBBoxHead SCNetMaskHead SCNetRoIHead SCNetSemanticHead Shared2FCBBoxHead
    Shared4Conv1FCBBoxHead SingleRoIExtractor SparseRoIHead StandardRoIHead TridentRoIHead HeuristicFusionHead
    MaskFormerFusionHead PanopticFPNHead BalancedL1Loss BoundaryLoss BoundedIoULoss CIoULoss CrossEntropyCustomLoss
    CrossEntropyLoss DIoULoss DiceLoss DistributionFocalLoss EIoULoss EQLV2Loss FocalCustomLoss FocalLoss GHMC GHMR
    GIoULoss GaussianFocalLoss HuasdorffDisstanceLoss IoULoss L1Loss LovaszLoss MSELoss OhemCrossEntropy
    QualityFocalLoss SIoULoss SeesawLoss SiLogLoss SmoothL1Loss TverskyLoss VarifocalLoss AssociativeEmbeddingLoss
    ATSSAssigner AnchorGenerator ApproxMaxIoUAssigner BBoxL1Cost BboxOverlaps2D BboxOverlaps2D_GLIP
    BinaryFocalLossCost BucketingBBoxCoder CenterRegionAssigner ClassificationCost CombinedSampler
    CrossEntropyLossCost DeltaXYWHBBoxCoder DeltaXYWHBBoxCoderForGLIP DiceCost DistancePointBBoxCoder
    DynamicSoftLabelAssigner FocalLossCost GridAssigner HungarianAssigner InstanceBalancedPosSampler
    IoUBalancedNegSampler IoUCost LegacyAnchorGenerator LegacyDeltaXYWHBBoxCoder LegacySSDAnchorGenerator
    MaskPseudoSampler MaxIoUAssigner MlvlPointGenerator OHEMSampler PointAssigner PointGenerator PseudoBBoxCoder
    PseudoSampler RandomSampler RegionAssigner SSDAnchorGenerator ScoreHLRSampler SimOTAAssigner TBLRBBoxCoder
    TaskAlignedAssigner TopkHungarianAssigner UniformAssigner YOLOAnchorGenerator YOLOBBoxCoder RoIAlign RoIPool nms
    soft_nms BN BN1d BN2d BN3d SyncBN MMSyncBN GN LN IN IN1d IN2d IN3d FrozenBN Conv Conv1d Conv2d Conv3d ConvAWS
    ConvWS DCN DCNv2 SAC Conv2dAdaptivePadding ConvTranspose2d ConvTranspose3d deconv deconv3d ConvModule
    pixel_shuffle carafe bilinear nearest reflect replicate zero ELU GELU HSigmoid HSwish LeakyReLU PReLU RReLU ReLU
    ReLU6 SiLU Sigmoid Swish Tanh Clamp Clip Dropout DropPath DropBlock FFN MultiheadAttention BaseTransformerLayer
    TransformerLayerSequence ContextBlock GeneralizedAttention NonLocal2d CrissCrossAttention
    MultiScaleDeformableAttention MSDeformAttnPixelDecoder PixelDecoder TransformerEncoderPixelDecoder
    LearnedPositionalEncoding SinePositionalEncoding DynamicConv Linear NormedConv2d NormedLinear
    """.split()  # noqa: SIM905
)
# clipkit's own words for a choice that is no registered part: heads over frames, LSeg's tower, projections of clouds.
_CHOICES = frozenset(
    """
    meanP masked_mean seqLSTM seqTransf tightTransf wti query_scoring LSTM Transf Transf_cls Conv1D
    FrozenTower DepthMaps RealisticMaps PaintedViews
    """.split()  # noqa: SIM905
)
# Of a test pipeline only its Resize travels.
_RESIZES = frozenset(("Resize", "FixScaleResize"))


def is_allowed(kind: Any) -> bool:
    """Whether a `type` may stand in a bundle's config. Looks the part up; its plugin must be loaded."""
    match = _NAME.fullmatch(kind) if isinstance(kind, str) else None
    if match is None or match["scope"] not in (None, *_SCOPES):
        return False
    name = match["name"]
    if match["scope"] not in (None, "clipkit"):
        return name in _OF_OTHERS or name in _RESIZES
    return name in _OF_OTHERS or name in _CHOICES or name in _RESIZES or _is_own(name)


def _is_own(name: str) -> bool:
    """By what is registered, never by mmengine's look-up, which imports what a dotted name says."""
    import_room_of(name)
    found = (registry.module_dict.get(name) for registry in (MODELS, TASK_UTILS))
    return any(part is not None and part.__module__.partition(".")[0] in _packages() for part in found)


def _packages() -> set[str]:
    """Those of clipkit and of its plugins that somebody installed here."""
    return {"clipkit", "clipkit_plugins"} | {
        point.module.partition(".")[0] for point in entry_points(group=ENTRY_POINT_GROUP)
    }
