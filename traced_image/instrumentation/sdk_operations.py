"""The operations of openstacksdk's methods, named as those of python-glanceclient's."""

from __future__ import annotations

_METHODS = {
    "images.get": "get_image find_image",
    "images.list": "images",
    "images.create": "create_image",
    "images.data": "download_image",
    "images.upload": "upload_image",
    "images.stage": "stage_image",
    "images.image_import": "import_image",
    "images.update": "update_image update_image_properties",
    "images.delete": "delete_image",
    "images.deactivate": "deactivate_image",
    "images.reactivate": "reactivate_image",
    "images.add_image_location": "add_image_location",
    "images.get_image_locations": "image_locations",
    "images.get_associated_image_tasks": "image_tasks",
    "images.get_import_info": "get_import_info",
    "images.get_stores_info": "stores",
    "image_members.list": "members",
    "image_members.get": "get_member find_member",
    "image_members.create": "add_member",
    "image_members.update": "update_member",
    "image_members.delete": "remove_member",
    "image_tags.update": "add_tag",
    "image_tags.delete": "remove_tag",
    "tasks.list": "tasks",
    "tasks.get": "get_task",
    "tasks.create": "create_task",
    "cache.list": "get_image_cache",
    "cache.list_cached_nodes": "cached_image_nodes",
    "cache.queue": "queue_image",
    "cache.delete": "cache_delete_image",
    "cache.clear": "clear_cache",
    "cache.clean": "clean_cache",
    "cache.prune": "prune_cache",
    "schemas.get": "get_images_schema get_image_schema get_members_schema get_member_schema"
    " get_tasks_schema get_task_schema get_metadef_namespace_schema get_metadef_namespaces_schema"
    " get_metadef_resource_type_schema get_metadef_resource_types_schema"
    " get_metadef_object_schema get_metadef_objects_schema get_metadef_property_schema"
    " get_metadef_properties_schema get_metadef_tag_schema get_metadef_tags_schema",
    "metadefs_namespace.list": "metadef_namespaces",
    "metadefs_namespace.get": "get_metadef_namespace",
    "metadefs_namespace.create": "create_metadef_namespace",
    "metadefs_namespace.update": "update_metadef_namespace",
    "metadefs_namespace.delete": "delete_metadef_namespace",
    "metadefs_tag.create": "add_tag_to_metadef_namespace",
    "metadefs_tag.delete": "remove_tag_from_metadef_namespace",
    "metadefs_tag.delete_all": "remove_tags_from_metadef_namespace",
    "metadefs_object.list": "metadef_objects",
    "metadefs_object.get": "get_metadef_object",
    "metadefs_object.create": "create_metadef_object",
    "metadefs_object.update": "update_metadef_object",
    "metadefs_object.delete": "delete_metadef_object",
    "metadefs_object.delete_all": "delete_all_metadef_objects",
    "metadefs_resource_type.list": "metadef_resource_types",
    "metadefs_resource_type.get": "metadef_resource_type_associations",
    "metadefs_resource_type.associate": "create_metadef_resource_type_association",
    "metadefs_resource_type.deassociate": "delete_metadef_resource_type_association",
    "metadefs_property.list": "metadef_properties",
    "metadefs_property.get": "get_metadef_property",
    "metadefs_property.create": "create_metadef_property",
    "metadefs_property.update": "update_metadef_property",
    "metadefs_property.delete": "delete_metadef_property",
    "metadefs_property.delete_all": "delete_all_metadef_properties",
}

OPERATIONS = {
    method: operation for operation, methods in _METHODS.items() for method in methods.split()
}
"""The operation of each method of the image proxy that makes requests."""

LISTS = frozenset(
    {"images", "members", "tasks", "stores", "image_locations", "image_tasks"}
    | {f"metadef_{what}" for what in ("namespaces", "objects", "properties", "resource_types")}
    | {"metadef_resource_type_associations"}
)
"""The methods that return a generator, which makes the requests while it is read."""
