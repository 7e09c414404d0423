//! Identify data: controller, namespace, lists, descriptors, what other command sets say (4,096 bytes; what the input does not have is zero).

use crate::input::padded;
use spec::{
    identify::{ControllerImage, ControllerView, IDENTIFY_SIZE},
    namespace::{
        NamespaceId, NamespaceImage, NamespaceView, encode_namespace_descriptors, encode_namespace_list,
        namespace_descriptors, namespace_list,
    },
    zoned::{ZoneDescriptor, ZonedControllerView, ZonedNamespaceImage, ZonedNamespaceView},
};

/// Reads the bytes as each of them.
pub fn run(input: &[u8]) {
    let page: [u8; IDENTIFY_SIZE] = padded(input);
    controller(&page);
    namespace(&page);
    list(&page);
    descriptors(&page);
    zoned(&page);
}

fn zoned(page: &[u8; IDENTIFY_SIZE]) {
    let view = ZonedControllerView(page);
    for mpsmin in [0, page[1], u8::MAX] {
        assert!(view.most_appended(mpsmin).is_none_or(|bytes| bytes >= 4096));
    }
    let view = ZonedNamespaceView(page);
    for index in [0, 15, 63, page[2], u8::MAX] {
        let (size, extension) = (view.zone_size(index), view.extension_size(index));
        if index < 64 {
            let mut image = ZonedNamespaceImage::default();
            image.set_format(index, size, u8::try_from(extension / 64).unwrap());
            let again = ZonedNamespaceView(&image.0);
            assert_eq!((again.zone_size(index), again.extension_size(index)), (size, extension));
        }
    }
    let zone = ZoneDescriptor::decode(page.first_chunk().unwrap());
    assert_eq!(ZoneDescriptor::decode(&zone.encode()), zone);
}

fn controller(page: &[u8; IDENTIFY_SIZE]) {
    let view = ControllerView(page);
    for mpsmin in [0, view.mdts(), u8::MAX] {
        assert!(view.max_transfer(mpsmin).is_none_or(|bytes| bytes >= 8192));
    }
    assert!(view.in_capsule_data_size() <= u64::from(view.ioccsz()) * 16);
    for text in [view.sn(), view.mn(), view.fr()] {
        assert!(text.len() <= 40 && text.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{text:?}");
    }
    assert!(view.subnqn().is_none_or(|nqn| nqn.len() < 256 && !nqn.contains('\0')));
    let _ = (view.ver().major(), view.ver().minor(), view.ver().tertiary(), view.tnvmcap());

    // What the fields say, written, says the same again.
    let mut image = ControllerImage::default();
    image.set_sn(view.sn()).set_mn(view.mn()).set_fr(view.fr()).set_ver(view.ver());
    image.set_tnvmcap(view.tnvmcap()).set_subnqn(view.subnqn().unwrap_or_default());
    image.set_mdts(view.mdts()).set_cntlid(view.cntlid()).set_nn(view.nn()).set_sgls(view.sgls());
    image.set_ioccsz(view.ioccsz()).set_icdoff(view.icdoff()).set_cntrltype(view.cntrltype());
    let again = image.view();
    assert_eq!(
        (again.sn(), again.mn(), again.fr(), again.ver().0),
        (view.sn(), view.mn(), view.fr(), view.ver().0)
    );
    assert_eq!(again.subnqn().unwrap_or_default(), view.subnqn().unwrap_or_default());
    assert_eq!(
        (again.mdts(), again.cntlid(), again.nn(), again.sgls(), again.tnvmcap()),
        (view.mdts(), view.cntlid(), view.nn(), view.sgls(), view.tnvmcap())
    );
    assert_eq!(again.in_capsule_data_size(), view.in_capsule_data_size());
}

fn namespace(page: &[u8; IDENTIFY_SIZE]) {
    let view = NamespaceView(page);
    if let Some(size) = view.block_size() {
        assert!(size.is_power_of_two() && size >= 512, "blocks of {size} bytes");
    }
    assert!(view.format_index() < 64);
    assert_eq!(view.format(), view.lba_format(view.format_index()));
    let _ = (view.metadata_extends_data(), view.nguid(), view.eui64());
    let mut image = NamespaceImage::default();
    image.set_nlbaf(view.nlbaf());
    for index in 0..=u8::MAX {
        if let Some(format) = view.lba_format(index) {
            image.set_lba_format(index, format);
            assert_eq!(image.view().lba_format(index), Some(format));
        }
    }
}

fn list(page: &[u8; IDENTIFY_SIZE]) {
    let ids: Vec<u32> = namespace_list(page).collect();
    assert!(ids.len() <= IDENTIFY_SIZE / 4 && !ids.contains(&0));
    assert!(ids.is_sorted_by(|one, next| one < next), "the list does not ascend");
    let again = encode_namespace_list(ids.iter().copied());
    assert_eq!(namespace_list(&again).collect::<Vec<_>>(), ids);
}

fn descriptors(page: &[u8; IDENTIFY_SIZE]) {
    let read: Vec<_> = namespace_descriptors(page).collect();
    assert!(read.len() <= IDENTIFY_SIZE / 4 + 1);
    let wrong = read.iter().position(Result::is_err);
    assert!(wrong.is_none_or(|wrong| wrong + 1 == read.len()), "a list goes on behind what is wrong");
    let good: Vec<NamespaceId<'_>> = read.into_iter().filter_map(Result::ok).collect();
    let again = encode_namespace_descriptors(&good);
    assert!(namespace_descriptors(&again).map(Result::unwrap).eq(good));
}
