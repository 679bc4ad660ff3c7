/* The getters of the field table. Inside event/ only; each leaves ret without a value when there is none. */
#ifndef EVENT_FIELD_GET_H
#define EVENT_FIELD_GET_H

#include "event/field.h"

#define FIELD_GETTER(name)                                                                                             \
	void name(struct field_view *v _unused_, const struct field_ref *ref _unused_, struct field_value *ret _unused_)

void field_set_string(struct field_value *ret, const char *s);
void field_set_bytes(struct field_value *ret, const char *s, size_t len);
void field_set_number(struct field_value *ret, int64_t n);
/* True when the group could be read (now or before). */
bool field_need(struct field_view *v, enum field_group group);

/* Who did it; NULL when that is not known. */
static inline const struct process *field_actor(const struct field_view *v)
{
	return v->event->process;
}
/* The file as it is now, else as it was; NULL when neither is known. */
static inline const struct record *field_record(const struct field_view *v)
{
	const struct event *e = v->event;

	return e->has_after ? &e->after : e->has_before ? &e->before : NULL;
}
static inline bool field_has(const struct record *r, enum attr a)
{
	return r && r->have & ATTR_BIT(a);
}

FIELD_GETTER(get_evt_num);
FIELD_GETTER(get_evt_type);
FIELD_GETTER(get_evt_dir);
FIELD_GETTER(get_evt_category);
FIELD_GETTER(get_evt_time);
FIELD_GETTER(get_evt_rawtime);
FIELD_GETTER(get_evt_count);
FIELD_GETTER(get_evt_res);
FIELD_GETTER(get_evt_rawres);
FIELD_GETTER(get_evt_failed);
FIELD_GETTER(get_is_open_read);
FIELD_GETTER(get_is_open_write);
FIELD_GETTER(get_is_open_exec);
FIELD_GETTER(get_is_open_create);
FIELD_GETTER(get_arg_flags);
FIELD_GETTER(get_arg_mode);
FIELD_GETTER(get_arg_path);
FIELD_GETTER(get_arg_name);
FIELD_GETTER(get_arg_filename);
FIELD_GETTER(get_arg_oldpath);
FIELD_GETTER(get_arg_newpath);
FIELD_GETTER(get_arg_target);
FIELD_GETTER(get_arg_linkpath);
FIELD_GETTER(get_evt_args);
FIELD_GETTER(get_arg_call);
FIELD_GETTER(get_nothing);
FIELD_GETTER(get_fd_num);
FIELD_GETTER(get_fd_name);
FIELD_GETTER(get_fd_nameraw);
FIELD_GETTER(get_fd_directory);
FIELD_GETTER(get_fd_filename);
FIELD_GETTER(get_fd_type);
FIELD_GETTER(get_fd_typechar);
FIELD_GETTER(get_fd_ino);
FIELD_GETTER(get_fd_dev);
FIELD_GETTER(get_fd_end_ip);
FIELD_GETTER(get_fd_end_port);
FIELD_GETTER(get_fd_end_name);
FIELD_GETTER(get_fd_ips);
FIELD_GETTER(get_fd_ports);
FIELD_GETTER(get_fd_l4proto);
FIELD_GETTER(get_fd_sockfamily);
FIELD_GETTER(get_fd_connected);
FIELD_GETTER(get_fd_name_changed);
FIELD_GETTER(get_evt_buffer);
/* fd.name, fd.type and fd.typechar of a socket; nothing when the event is of none. */
void field_socket_name(struct field_view *v, struct field_value *ret);
void field_socket_type(struct field_view *v, struct field_value *ret);
void field_socket_typechar(struct field_view *v, struct field_value *ret);

FIELD_GETTER(get_proc_name);
FIELD_GETTER(get_proc_pname);
FIELD_GETTER(get_proc_aname);
FIELD_GETTER(get_proc_exe);
FIELD_GETTER(get_proc_pexe);
FIELD_GETTER(get_proc_aexe);
FIELD_GETTER(get_proc_exepath);
FIELD_GETTER(get_proc_pexepath);
FIELD_GETTER(get_proc_aexepath);
FIELD_GETTER(get_proc_cmdline);
FIELD_GETTER(get_proc_pcmdline);
FIELD_GETTER(get_proc_acmdline);
FIELD_GETTER(get_proc_exeline);
FIELD_GETTER(get_proc_args);
FIELD_GETTER(get_proc_nargs);
FIELD_GETTER(get_proc_cwd);
FIELD_GETTER(get_proc_pid);
FIELD_GETTER(get_proc_ppid);
FIELD_GETTER(get_proc_apid);
FIELD_GETTER(get_proc_tty);
FIELD_GETTER(get_proc_sid);
FIELD_GETTER(get_proc_sname);
FIELD_GETTER(get_proc_duration);
FIELD_GETTER(get_proc_start);
FIELD_GETTER(get_proc_env);
FIELD_GETTER(get_proc_vpid);
FIELD_GETTER(get_proc_vpgid_leader);
FIELD_GETTER(get_proc_memfd);
FIELD_GETTER(get_proc_upper_layer);
FIELD_GETTER(get_exe_mtime);
FIELD_GETTER(get_exe_ctime);
FIELD_GETTER(get_exe_ino);
FIELD_GETTER(get_exe_ctime_age);
FIELD_GETTER(get_cap_effective);
FIELD_GETTER(get_cap_permitted);
FIELD_GETTER(get_cap_inheritable);
FIELD_GETTER(get_user_name);
FIELD_GETTER(get_user_uid);
FIELD_GETTER(get_user_loginuid);
FIELD_GETTER(get_user_loginname);
FIELD_GETTER(get_group_gid);
FIELD_GETTER(get_container_id);
FIELD_GETTER(get_container_full_id);
FIELD_GETTER(get_container_name);
FIELD_GETTER(get_container_type);
FIELD_GETTER(get_container_image_id);
FIELD_GETTER(get_container_started);
FIELD_GETTER(get_container_label);
FIELD_GETTER(get_container_image);
FIELD_GETTER(get_container_repository);
FIELD_GETTER(get_container_tag);
FIELD_GETTER(get_container_digest);
FIELD_GETTER(get_container_privileged);
FIELD_GETTER(get_container_mounts);
FIELD_GETTER(get_container_mount_dest);
FIELD_GETTER(get_pod);
FIELD_GETTER(get_namespace);

FIELD_GETTER(get_hf_kind);
FIELD_GETTER(get_hf_host_path);
FIELD_GETTER(get_hf_change);
FIELD_GETTER(get_hf_status);
FIELD_GETTER(get_hf_attribute);
FIELD_GETTER(get_hf_baseline);
FIELD_GETTER(get_hf_cause);
FIELD_GETTER(get_hf_path);
FIELD_GETTER(get_hf_path2);
FIELD_GETTER(get_hf_digest);
FIELD_GETTER(get_hf_digest_before);
FIELD_GETTER(get_hf_mode);
FIELD_GETTER(get_hf_setuid);
FIELD_GETTER(get_hf_type);
FIELD_GETTER(get_hf_size);
FIELD_GETTER(get_hf_size_before);
FIELD_GETTER(get_hf_owner);
FIELD_GETTER(get_hf_mime);
FIELD_GETTER(get_hf_trusted);
FIELD_GETTER(get_hf_verdict);
FIELD_GETTER(get_hf_net_verdict);
FIELD_GETTER(get_hf_net_policy);
FIELD_GETTER(get_hf_net_sent);
FIELD_GETTER(get_hf_net_received);
FIELD_GETTER(get_hf_net_open);
FIELD_GETTER(get_hf_dns_name);
FIELD_GETTER(get_hf_dns_type);
FIELD_GETTER(get_hf_environment);
FIELD_GETTER(get_hf_program);
FIELD_GETTER(get_hf_reason);
FIELD_GETTER(get_hf_package);
FIELD_GETTER(get_hf_drift);
FIELD_GETTER(get_hf_layer);
FIELD_GETTER(get_hf_first_seen);
FIELD_GETTER(get_hf_gap);

FIELD_GETTER(get_hf_session);
FIELD_GETTER(get_hf_session_failed);
FIELD_GETTER(get_hf_session_failures);
FIELD_GETTER(get_hf_session_account);
FIELD_GETTER(get_hf_session_by);
FIELD_GETTER(get_hf_session_tty);
FIELD_GETTER(get_hf_session_remote);
FIELD_GETTER(get_hf_session_program);
FIELD_GETTER(get_hf_session_command);
FIELD_GETTER(get_hf_hour);
FIELD_GETTER(get_hf_weekday);
FIELD_GETTER(get_hf_container_exec);
FIELD_GETTER(get_hf_container_nsenter);

#endif
